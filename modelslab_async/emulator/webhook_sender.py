"""WebhookSender: posts the webhooks of jobs in background tasks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
from attrs import evolve, frozen

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import StatusRule

from . import shared_replies
from .background_tasks import BackgroundTasks
from .job import Job
from .planned_webhooks import PlannedWebhook, plan_forged_webhook, plan_webhooks, webhook_url_of
from .reply_bodies import URLBuilder
from .webhook_settings import Webhooks

_TIMEOUT_S = 30.0
_FIRST_RETRY_DELAY_S = 1.0


@frozen(kw_only=True)
class WebhookDelivery:
    """
    One attempt to deliver a webhook, or a webhook that was withheld.

    A webhook to another machine is withheld, unless `Webhooks.allow_remote` is set.

    Args:
        ticket: The ticket of the job.
        url: The URL of the receiver.
        body: The JSON body.
        forged: Whether the webhook reported a false success.
        status_code: The receiver's HTTP status, or None if the receiver did not answer.
        error: Why the attempt failed, or why the webhook was withheld. Empty after a success.
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
        webhooks: How the webhooks behave.
        clock: The clock of the jobs.

    Attributes:
        deliveries: The attempts to deliver webhooks, and the withheld webhooks, in order.
    """

    def __init__(self, webhooks: Webhooks, clock: Callable[[], float]) -> None:
        self.deliveries: list[WebhookDelivery] = []
        self._webhooks = webhooks
        self._clock = clock
        # The random generator is seeded, since the same seed must give the same webhooks. No
        # security depends on it.
        self._random = Random(webhooks.seed)  # noqa: S311
        self._tasks = BackgroundTasks()
        self._http: httpx.AsyncClient | None = None
        self._is_sending = False

    @asynccontextmanager
    async def sending(self) -> AsyncGenerator[None, None]:
        """Deliver webhooks while the block runs, then cancel the unfinished deliveries."""
        if self._is_sending:
            yield
            return
        self._is_sending = True
        try:
            yield
        finally:
            self._is_sending = False
            await self._tasks.cancel()
            http, self._http = self._http, None
            if http is not None:
                await http.aclose()

    async def start_deliveries(self, job: Job, rule: StatusRule, urls: URLBuilder) -> None:
        """
        Start delivering the webhooks of a job.

        With the probability `Webhooks.before_reply`, wait until the webhooks are delivered. They
        then arrive before the reply to the submit.
        """
        url = webhook_url_of(job)
        if url is None or not self._is_sending:
            return
        lost_draw, forged_draw, before_reply_draw = (self._random.random() for _ in range(3))
        # Read the clock once for all deliveries of the job. If the process paused between two
        # readings, the forged webhook could arrive after the true one.
        now = self._clock()
        if forged_draw < self._webhooks.forged:
            self._start_delivery(job, url, plan_forged_webhook(job), now=now, is_forged=True)
        if lost_draw < self._webhooks.lost:
            return
        planned_webhooks = plan_webhooks(
            job, rule, urls, workflow_format=self._webhooks.workflow_format
        )
        started = [
            self._start_delivery(job, url, planned, now=now)
            for planned in planned_webhooks
            for _ in range(self._webhooks.copies)
        ]
        if before_reply_draw < self._webhooks.before_reply:
            # If the client disconnects, the ASGI server may cancel this task. The deliveries go on
            # all the same, because `asyncio.wait` does not cancel the tasks that it waits for.
            await asyncio.wait(started)

    def _start_delivery(
        self,
        job: Job,
        url: str,
        planned: PlannedWebhook,
        *,
        now: float,
        is_forged: bool = False,
    ) -> asyncio.Task[None]:
        return self._tasks.start(
            self._deliver(job, url, planned, now=now, is_forged=is_forged), name="webhook"
        )

    async def _deliver(
        self, job: Job, url: str, planned: PlannedWebhook, *, now: float, is_forged: bool
    ) -> None:
        extra_delay = 0.0 if is_forged else self._random.uniform(*self._webhooks.delay)
        await asyncio.sleep(max(0.0, job.started + planned.due_after - now) + extra_delay)
        pending = WebhookDelivery(ticket=job.ticket, url=url, body=planned.body, forged=is_forged)
        if not self._webhooks.may_deliver_to(url):
            error = "withheld: only loopback addresses get webhooks"
            self.deliveries.append(evolve(pending, error=error))
            return
        retry_delay = _FIRST_RETRY_DELAY_S
        for attempt in range(planned.attempts):
            if attempt:
                await asyncio.sleep(retry_delay)
                retry_delay *= 2
            delivery = await self._post(pending)
            self.deliveries.append(delivery)
            if not delivery.error:
                return

    async def _post(self, pending: WebhookDelivery) -> WebhookDelivery:
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=self._webhooks.transport, timeout=_TIMEOUT_S, trust_env=False
            )
        headers = {"content-type": "application/json"}
        try:
            reply = await self._http.post(
                pending.url, content=shared_replies.encode(pending.body), headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            return evolve(pending, error=f"{type(exc).__name__}: {exc}")
        refused = "" if reply.is_success else f"answered {reply.status_code}, not a 2xx"
        return evolve(pending, status_code=reply.status_code, error=refused)
