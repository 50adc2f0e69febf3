"""Courier: delivers webhooks while it is at work, in tasks that end with it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
from attrs import evolve, frozen

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import StatusRule

from . import messages
from .jobs import Job
from .reply_bodies import Site
from .webhook_bodies import Notice, forged, notices_of, url_of
from .webhook_settings import Webhooks

_LONGEST = 30.0
_FIRST_PAUSE = 1.0


@frozen(kw_only=True)
class Delivery:
    """
    One webhook that was sent, or kept back.

    Args:
        ticket: The job it is about.
        url: Where it went.
        body: What it said.
        forged: Whether it was forged.
        status_code: What the receiver answered; None: nothing, or it was not sent.
        error: Why it was not taken; empty: it was.
    """

    ticket: Ticket
    url: str
    body: Mapping[str, Any]
    forged: bool = False
    status_code: int | None = None
    error: str = ""


class Courier:
    """
    Delivers the webhooks of jobs.

    Args:
        webhooks: How they behave.
        clock: The clock that jobs go by.

    Attributes:
        deliveries: What was sent and kept back.
    """

    def __init__(self, webhooks: Webhooks, clock: Callable[[], float]) -> None:
        self.deliveries: list[Delivery] = []
        self._webhooks = webhooks
        self._clock = clock
        # A stand-in wants the same webhooks from the same seed; nothing here is a secret.
        self._random = Random(webhooks.seed)  # noqa: S311
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: httpx.AsyncClient | None = None
        self._at_work = False

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None, None]:
        """Deliver while the block runs. What is not delivered then never will be."""
        if self._at_work:
            yield
            return
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)
            http, self._http = self._http, None
            if http is not None:
                await http.aclose()

    async def announce(self, job: Job, rule: StatusRule, site: Site) -> None:
        """See to the webhooks of a job; returns once its submit may be answered."""
        url = url_of(job)
        if url is None or not self._at_work:
            return
        draws = [self._random.random() for _ in range(3)]
        if draws[1] < self._webhooks.forged:
            self._start(self._deliver(job, url, forged(job), is_forged=True))
        if draws[0] < self._webhooks.never:
            return
        notices = notices_of(job, rule, site, shape=self._webhooks.workflow)
        started = [
            self._start(self._deliver(job, url, notice))
            for notice in notices
            for _ in range(self._webhooks.copies)
        ]
        if draws[2] < self._webhooks.before_reply:
            # Whoever asked may go away meanwhile: that ends the waiting, not the deliveries.
            await asyncio.wait(started)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="webhook")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(
        self, job: Job, url: str, notice: Notice, *, is_forged: bool = False
    ) -> None:
        late = 0.0 if is_forged else self._random.uniform(*self._webhooks.delay)
        await asyncio.sleep(max(0.0, job.started + notice.after - self._clock()) + late)
        said = Delivery(ticket=job.ticket, url=url, body=notice.body, forged=is_forged)
        pause = _FIRST_PAUSE
        for attempt in range(notice.attempts):
            if attempt:
                await asyncio.sleep(pause)
                pause *= 2
            delivery = await self._post(said)
            self.deliveries.append(delivery)
            if not delivery.error:
                return

    async def _post(self, said: Delivery) -> Delivery:
        if not self._webhooks.reach(said.url):
            return evolve(said, error="kept back: only loopback addresses are delivered to")
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=self._webhooks.transport, timeout=_LONGEST, trust_env=False
            )
        headers = {"content-type": "application/json"}
        try:
            reply = await self._http.post(
                said.url, content=messages.encode(said.body), headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            return evolve(said, error=f"{type(fault).__name__}: {fault}")
        refused = "" if reply.is_success else f"answered {reply.status_code}, not a 2xx"
        return evolve(said, status_code=reply.status_code, error=refused)
