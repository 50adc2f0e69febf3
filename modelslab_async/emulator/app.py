"""Emulator: an ASGI application that answers as the service does. It knows no client."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import cycle, islice
from typing import Any, assert_never

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelslab_async._models.ticket import Ticket, TicketLike
from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.families import FAMILIES
from modelslab_async._registry.family import Family

from . import messages, reply_bodies
from .file_links import FileLinks, not_found
from .job_intake import JobIntake, ReceivedSubmit
from .job_store import ScriptedReply
from .jobs import Jobs
from .poll_counts import PollCounts
from .reply_bodies import URLBuilder
from .request_fields import UnreadableBodyError, find_key, read_fields
from .responses import (
    JSON_HEADERS,
    answer_non_http,
    json_response,
    message_field_of,
    url_builder_of,
)
from .routes import FetchRoute, FileRoute, Routes, SubmitRoute, UtilityRoute
from .served_endpoints import SERVED_ENDPOINTS
from .submit_checks import SubmitChecks, missing
from .utility_replies import utility_reply
from .webhook_sender import WebhookDelivery, WebhookSender
from .webhook_settings import Webhooks


class Emulator:
    """
    A stand-in for the service, as an ASGI application.

    All of its routes are served below `/api` and without it. Nothing but webhooks happens in the
    background: what a job has come to is computed from the clock when somebody asks.

    Args:
        families: The registry, or a part of it.
        endpoints: The table of endpoints, or a part of it.
        jobs: How jobs behave.
        keys: The accepted keys; None accepts any that is not empty.
        broke: Keys that are valid but have no credits: they may fetch, and submit nothing.
        queue_limit: How many unfinished submitted jobs a key may have; None is no limit, while the
            service has 5, 10 or 15 by plan.
        spam_window: For how many seconds the same submit of a key is refused: the same endpoint and
            parameters, whatever their track_id and webhook. None takes any, while the service has
            30.
        webhooks: How webhooks behave, once they are delivered (see `delivering`).
        links: How the links to files behave.
        clock: Where the time in seconds comes from.

    Attributes:
        looks: How often each ticket was fetched, such as `looks["images:1"]`.
        requests: How many HTTP requests came in.
        submits: The submits that came in.

    Example:
        >>> emulator = Emulator(jobs=Jobs(duration=(1.0, 2.0)))
        >>> str(emulator.plant("images:5"))
        'images:5'
    """

    def __init__(
        self,
        *,
        families: Mapping[str, Family] = FAMILIES,
        endpoints: Mapping[str, Endpoint] = SERVED_ENDPOINTS,
        jobs: Jobs | None = None,
        keys: Collection[str] | None = None,
        keys_without_credits: Collection[str] = (),
        queue_limit: int | None = None,
        spam_window: float | None = None,
        webhooks: Webhooks | None = None,
        links: FileLinks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.polls = PollCounts()
        self.requests = 0
        self.submits: list[ReceivedSubmit] = []
        self._keys = None if keys is None else frozenset((*keys, *keys_without_credits))
        self._links = links or FileLinks()
        self._clock = clock
        self._routes = Routes(families, endpoints)
        self._intake = JobIntake(self._routes, families=families, jobs=jobs or Jobs())
        self._job_store = self._intake.job_store
        self._submit_checks = SubmitChecks(
            self._job_store,
            keys_without_credits=frozenset(keys_without_credits),
            queue_limit=queue_limit,
            spam_window=spam_window,
        )
        self._webhook_sender = WebhookSender(webhooks or Webhooks(), clock)

    def add_job(
        self,
        ticket: TicketLike,
        *,
        duration: float | None = None,
        fails: bool | None = None,
        output: object = None,
    ) -> Ticket:
        """
        Start a job now, as if it had been submitted.

        Args:
            ticket: Its ticket.
            duration: How many seconds it takes; None: drawn.
            fails: Whether it ends as failed; None: drawn.
            output: What its replies give as output instead of links to files of the emulator.

        Raises:
            ValueError: No such family, or the id does not fit it.
        """
        return self._intake.add_job(
            Ticket.of(ticket), now=self._clock(), duration=duration, fails=fails, output=output
        ).ticket

    def add_jobs(self, count: int, families: Iterable[str] | None = None) -> list[Ticket]:
        """
        Start many jobs now, of these families (or all) in turn.

        Raises:
            ValueError: No such family.
        """
        family_names = [*(self._intake.families if families is None else families)]
        return [
            self.add_job(self._intake.new_ticket(name))
            for name in islice(cycle(family_names), count)
        ]

    def script(self, ticket: TicketLike, replies: Iterable[ScriptedReply | None]) -> None:
        """
        Answer the fetches of one ticket with these replies, in turn. The last one repeats.

        Args:
            ticket: The ticket, planted or not.
            replies: The replies; None stands for what the emulator itself would say.

        Raises:
            ValueError: No such family, or no reply.
        """
        scripted = Ticket.of(ticket)
        self._intake.family(scripted.family)
        self._job_store.script_replies(
            self._routes.family_groups[scripted.family], scripted.id, replies
        )

    @property
    def webhook_deliveries(self) -> Sequence[WebhookDelivery]:
        """The webhooks that were sent, or kept back, in their order."""
        return self._webhook_sender.webhook_deliveries

    def deliver_webhooks(self) -> AbstractAsyncContextManager[None]:
        """
        Deliver webhooks while the block runs; served emulators do so anyway.

        A submit that names a `webhook` starts one, or more. What waits for its time when the block
        ends is not delivered. Jobs end by the emulator's clock, while the waiting is done by that
        of the event loop: let both be the same.

        Example:
            async with emulator.delivering():
                ...
        """
        return self._webhook_sender.sending()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await answer_non_http(scope, receive, send)
            return
        self.requests += 1
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception:
            # A fault of the emulator is the caller's 500 at once, and still somebody's traceback.
            await json_response(500, messages.SERVER_ERROR)(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        route = self._routes.find(request.scope["path"])
        match route:
            case None:
                text = f"The route {request.scope['path'].strip('/')} could not be found."
                return json_response(404, messages.refusal(text))
            case FileRoute(path):
                return self._answer_file(path, request)
            case FetchRoute(family_group):
                methods: tuple[str, ...] = (family_group.family.method,)
            case SubmitRoute():
                methods = ("POST",)
            case UtilityRoute():
                # The documents ask by both methods.
                methods = ("POST", "GET")
            case _:
                assert_never(route)
        if request.method not in methods:
            text = f"The {request.method} method is not supported for this route."
            return json_response(405, messages.refusal(text), allow=", ".join(methods))
        return await self._dispatch(route, request)

    async def _dispatch(
        self, route: FetchRoute | SubmitRoute | UtilityRoute, request: Request
    ) -> Response:
        try:
            fields = await read_fields(request)
        except UnreadableBodyError:
            return json_response(200, messages.INVALID_REQUEST)
        key = find_key(fields, request)
        fields.pop("key", None)
        if not key or (self._keys is not None and key not in self._keys):
            text = messages.INVALID_KEY if key else messages.KEY_REQUIRED
            return json_response(401, messages.refusal(text, message_field=message_field_of(route)))
        match route:
            case FetchRoute():
                return self._answer_fetch(route, fields, self._url_builder(request))
            case SubmitRoute():
                return await self._answer_submit(route, fields, key, self._url_builder(request))
            case UtilityRoute(endpoint):
                return self._answer_utility(endpoint, fields, key, self._url_builder(request))
            case _:
                assert_never(route)

    def _answer_fetch(
        self, route: FetchRoute, fields: Mapping[str, Any], urls: URLBuilder
    ) -> Response:
        family_group = route.family_group
        id_ = route.id or str(fields.get("request_id") or fields.get("id") or "")
        try:
            ticket = Ticket(family_group.family.name, id_)
        except ValueError:
            return json_response(400, messages.refusal(messages.ID_REQUIRED))
        job = self._job_store.find(family_group, id_)
        job_type = ticket.family
        if job is not None and job.ticket.family in family_group.family_names:
            ticket, job_type = job.ticket, job.job_type
        self.polls[ticket] += 1
        scripted = self._job_store.scripted(family_group, id_)
        if scripted is not None:
            return Response(
                scripted.body, scripted.status_code, {**JSON_HEADERS, **scripted.headers}
            )
        rule = family_group.family.status
        if job is None:
            status_code, body = reply_bodies.missing(rule)
            return Response(body, status_code, JSON_HEADERS)
        body = reply_bodies.fetched(job, rule, job_type=job_type, now=self._clock(), urls=urls)
        return Response(body, 200, JSON_HEADERS)

    async def _answer_submit(
        self, route: SubmitRoute, fields: Mapping[str, Any], key: str, urls: URLBuilder
    ) -> Response:
        endpoint, now = route.endpoint, self._clock()
        parameters = {**fields, **route.path_params}
        refused = self._submit_checks.refusal(endpoint, parameters, key, now)
        job = None if refused else self._intake.start(route, fields, now=now)
        self.submits.append(
            ReceivedSubmit(
                family=job.ticket.family if job else str(endpoint.resolved_by),
                endpoint=endpoint.name,
                path=route.path,
                fields=dict(fields),
                ticket=job.ticket if job else None,
            )
        )
        if job is None:
            return json_response(*(refused or (500, messages.SERVER_ERROR)))
        self._submit_checks.record(endpoint, parameters, key, now)
        self._job_store.enqueue(key, job)
        reply = self._intake.reply(job, urls, now=now)
        await self._webhook_sender.start_deliveries(
            job, self._intake.family(job.ticket.family).status, urls
        )
        return json_response(*reply)

    def _answer_utility(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, urls: URLBuilder
    ) -> Response:
        now = self._clock()
        refused = missing(endpoint, fields)
        if refused:
            return json_response(*refused)
        return json_response(200, utility_reply(endpoint, self._intake, urls, key=key, now=now))

    def _answer_file(self, path: str, request: Request) -> Response:
        """A file of a finished job; links to unfinished work lead nowhere yet."""
        _folder, _, rest = path.partition("/")
        family, _, name = rest.partition("/")
        id_, _, last = name.rpartition("-")
        number, _, suffix = last.partition(".")
        family_group = self._routes.family_groups.get(family)
        job = self._job_store.find(family_group, id_) if family_group else None
        exists = (
            job is not None
            and job.has_succeeded(self._clock())
            and job.suffix == suffix
            and number.isdecimal()
            and int(number) < job.files
        )
        if job is None or not exists:
            return not_found()
        now = self._clock()
        age = now - job.started - job.duration
        return self._links.answer(
            reply_bodies.output_file(job, int(number)), request, age=age, now=now
        )

    def _url_builder(self, request: Request) -> URLBuilder:
        return url_builder_of(request, query=self._links.query(self._clock()))
