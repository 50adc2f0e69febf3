"""Emulator: an ASGI application that answers like the service."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import cycle, islice

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from modelslab_async._models.ticket import Ticket, TicketLike
from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.families import FAMILIES
from modelslab_async._registry.family import Family

from . import shared_replies
from .file_link_settings import FileLinks
from .job_intake import JobIntake
from .job_settings import Jobs
from .job_store import ScriptedReply
from .request_handler import RequestHandler, json_response
from .routes import Routes
from .served_endpoints import SERVED_ENDPOINTS
from .submit_checks import SubmitChecks
from .webhook_sender import WebhookSender
from .webhook_settings import Webhooks


class Emulator:
    """
    An ASGI application that answers like the service.

    The emulator serves each route with and without the prefix `/api`. It computes the state of a
    job from the clock at each request. Only webhooks are sent in the background.

    Args:
        families: The registry, or a part of it.
        endpoints: The table of endpoints, or a part of it.
        jobs: How long jobs take and how they end.
        keys: The accepted API keys. With None, the emulator accepts any key that is not empty.
        keys_without_credits: API keys that may poll, but whose submits are refused.
        queue_limit: The maximum number of unfinished submitted jobs of one API key. With None,
            there is no limit. The service allows 5, 10 or 15, depending on the plan.
        spam_window: The seconds that must pass before an accepted submit can be repeated. A repeat
            has the same API key, endpoint and parameters, apart from `track_id` and `webhook`. With
            None, no repeat is refused. The service uses 30 seconds.
        webhooks: How webhooks behave (see `deliver_webhooks`).
        links: How the links to files behave.
        clock: Returns the time in seconds.
        strict_families: Whether a job is found only by polls in its own families. By default, polls
            in other families find the job too, because some clients submit in one family and poll
            in another. It is unknown how the service behaves.

    Attributes:
        polls: How many times each ticket was polled, as in `polls["images:1"]`.
        request_count: How many HTTP requests came in.
        submits: The submits that came in with an accepted API key.
        webhook_deliveries: The attempts to deliver a webhook, in order. The emulator withholds a
            webhook to another machine, unless `Webhooks.allow_remote` is set.

    Example:
        >>> emulator = Emulator(jobs=Jobs(duration=(1.0, 2.0)))
        >>> str(emulator.add_job("images:5"))
        'images:5'
    """

    def __init__(
        self,
        *,
        families: Mapping[str, Family] | None = None,
        endpoints: Mapping[str, Endpoint] | None = None,
        jobs: Jobs | None = None,
        keys: Collection[str] | None = None,
        keys_without_credits: Collection[str] = (),
        queue_limit: int | None = None,
        spam_window: float | None = None,
        webhooks: Webhooks | None = None,
        links: FileLinks | None = None,
        clock: Callable[[], float] = time.monotonic,
        strict_families: bool = False,
    ) -> None:
        families = FAMILIES if families is None else families
        endpoints = SERVED_ENDPOINTS if endpoints is None else endpoints
        self._clock = clock
        self._routes = Routes(families, endpoints)
        self._intake = JobIntake(self._routes, families=families, jobs=jobs or Jobs())
        submit_checks = SubmitChecks(
            self._intake.job_store,
            keys_without_credits=frozenset(keys_without_credits),
            queue_limit=queue_limit,
            spam_window=spam_window,
        )
        self._webhook_sender = WebhookSender(webhooks or Webhooks(), clock)
        self._request_handler = RequestHandler(
            routes=self._routes,
            intake=self._intake,
            submit_checks=submit_checks,
            webhook_sender=self._webhook_sender,
            keys=None if keys is None else frozenset((*keys, *keys_without_credits)),
            links=links or FileLinks(),
            clock=clock,
            strict_families=strict_families,
        )
        self.polls = self._request_handler.polls
        self.request_count = 0
        self.submits = self._request_handler.submits
        self.webhook_deliveries = self._webhook_sender.deliveries

    @property
    def refused_submits(self) -> int:
        """
        How many submits were refused.

        This includes submits with a wrong API key or an unreadable body, which are not in
        `submits`.
        """
        return self._request_handler.refused_submits

    def add_job(
        self,
        ticket: TicketLike,
        *,
        duration: float | None = None,
        fails: bool | None = None,
        output: object = None,
    ) -> Ticket:
        """
        Start a job now, without a submit.

        Args:
            ticket: The ticket of the job.
            duration: How many seconds the job takes. With None, the setting `jobs` decides.
            fails: Whether the job fails. With None, the setting `jobs` decides.
            output: The output in the job's replies. With None, the replies link to files of the
                emulator.

        Raises:
            ValueError: The family is unknown, or the id does not fit it.
        """
        return self._intake.add_job(
            Ticket.of(ticket), now=self._clock(), duration=duration, fails=fails, output=output
        ).ticket

    def add_jobs(self, count: int, families: Iterable[str] | None = None) -> list[Ticket]:
        """
        Start `count` jobs now, spread over the given families. By default, use all families.

        Raises:
            ValueError: A family is unknown.
        """
        family_names = [*(self._intake.families if families is None else families)]
        return [
            self.add_job(self._intake.new_ticket(name))
            for name in islice(cycle(family_names), count)
        ]

    def script(self, ticket: TicketLike, replies: Iterable[ScriptedReply | None]) -> None:
        """
        Answer the polls of one ticket with these replies, in order. Then repeat the final reply.

        Args:
            ticket: The ticket. Its job need not exist.
            replies: The replies. For each None, the emulator makes the reply itself.

        Raises:
            ValueError: The family is unknown, or there are no replies.
        """
        scripted = Ticket.of(ticket)
        self._intake.family(scripted.family)
        self._intake.job_store.script_replies(
            self._routes.family_groups[scripted.family], scripted.id, replies
        )

    def deliver_webhooks(self) -> AbstractAsyncContextManager[None]:
        """
        Deliver webhooks while the block runs.

        `run_server`, `serve` and `run_faulty_server` call this method. A submit with a `webhook`
        starts one or more deliveries. Leaving the block cancels unfinished deliveries. Jobs use the
        emulator's clock, and deliveries use the event loop's clock. So both clocks must run at the
        same speed.

        Example:
            async with emulator.deliver_webhooks():
                ...
        """
        return self._webhook_sender.sending()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _answer_non_http(scope, receive, send)
            return
        self.request_count += 1
        try:
            response = await self._request_handler.answer(Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception:
            # The emulator has a bug. The client gets the status 500, and the ASGI server gets the
            # exception and logs it.
            await json_response(500, shared_replies.SERVER_ERROR)(scope, receive, send)
            raise
        await response(scope, receive, send)


async def _answer_non_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Acknowledge the ASGI server's startup and shutdown messages, and refuse websockets."""
    if scope["type"] != "lifespan":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
