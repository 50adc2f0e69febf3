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
from .reply_bodies import URLBuilder
from .webhook_bodies import PlannedWebhook, forged, plan_webhooks, webhook_url_of
from .webhook_settings import Webhooks

_TIMEOUT_S = 30.0
_FIRST_RETRY_DELAY_S = 1.0


@frozen(kw_only=True)
class WebhookDelivery:
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


class WebhookSender:
    """
    Delivers the webhooks of jobs.

    Args:
        webhooks: How they behave.
        clock: The clock that jobs go by.

    Attributes:
        deliveries: What was sent and kept back.
    """

    def __init__(self, webhooks: Webhooks, clock: Callable[[], float]) -> None:
        self.webhook_deliveries: list[WebhookDelivery] = []
        self._webhooks = webhooks
        self._clock = clock
        # A stand-in wants the same webhooks from the same seed; nothing here is a secret.
        self._random = Random(webhooks.seed)  # noqa: S311
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: httpx.AsyncClient | None = None
        self._is_sending = False

    @asynccontextmanager
    async def sending(self) -> AsyncGenerator[None, None]:
        """Deliver while the block runs. What is not delivered then never will be."""
        if self._is_sending:
            yield
            return
        self._is_sending = True
        try:
            yield
        finally:
            self._is_sending = False
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)
            http, self._http = self._http, None
            if http is not None:
                await http.aclose()

    async def start_deliveries(self, job: Job, rule: StatusRule, urls: URLBuilder) -> None:
        """See to the webhooks of a job; returns once its submit may be answered."""
        url = webhook_url_of(job)
        if url is None or not self._is_sending:
            return
        draws = [self._random.random() for _ in range(3)]
        if draws[1] < self._webhooks.forged:
            self._start_task(self._deliver(job, url, forged(job), is_forged=True))
        if draws[0] < self._webhooks.lost:
            return
        planned_webhooks = plan_webhooks(
            job, rule, urls, workflow_format=self._webhooks.workflow_format
        )
        started = [
            self._start_task(self._deliver(job, url, planned))
            for planned in planned_webhooks
            for _ in range(self._webhooks.copies)
        ]
        if draws[2] < self._webhooks.before_reply:
            # Whoever asked may go away meanwhile: that ends the waiting, not the deliveries.
            await asyncio.wait(started)

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name="webhook")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(
        self, job: Job, url: str, planned: PlannedWebhook, *, is_forged: bool = False
    ) -> None:
        extra_delay = 0.0 if is_forged else self._random.uniform(*self._webhooks.delay)
        await asyncio.sleep(max(0.0, job.started + planned.due_after - self._clock()) + extra_delay)
        pending = WebhookDelivery(ticket=job.ticket, url=url, body=planned.body, forged=is_forged)
        retry_delay = _FIRST_RETRY_DELAY_S
        for attempt in range(planned.attempts):
            if attempt:
                await asyncio.sleep(retry_delay)
                retry_delay *= 2
            delivery = await self._post(pending)
            self.webhook_deliveries.append(delivery)
            if not delivery.error:
                return

    async def _post(self, pending: WebhookDelivery) -> WebhookDelivery:
        if not self._webhooks.may_deliver_to(pending.url):
            return evolve(pending, error="kept back: only loopback addresses are delivered to")
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=self._webhooks.transport, timeout=_TIMEOUT_S, trust_env=False
            )
        headers = {"content-type": "application/json"}
        try:
            reply = await self._http.post(
                pending.url, content=messages.encode(pending.body), headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            return evolve(pending, error=f"{type(exc).__name__}: {exc}")
        refused = "" if reply.is_success else f"answered {reply.status_code}, not a 2xx"
        return evolve(pending, status_code=reply.status_code, error=refused)
