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
from .file_links import Links, not_found
from .job_intake import Intake, Submitted
from .job_store import Scripted
from .jobs import Jobs
from .poll_counts import Tally
from .reply_bodies import Site
from .request_fields import UnreadableBodyError, find_key, read_fields
from .responses import JSON, as_json, site_of, spelling_of, take_part
from .routes import Ask, Fetch, File, Routes, Submit
from .served_endpoints import SERVED
from .submit_checks import Gate, missing
from .utility_replies import told
from .webhook_sender import Courier, Delivery
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
        endpoints: Mapping[str, Endpoint] = SERVED,
        jobs: Jobs | None = None,
        keys: Collection[str] | None = None,
        broke: Collection[str] = (),
        queue_limit: int | None = None,
        spam_window: float | None = None,
        webhooks: Webhooks | None = None,
        links: Links | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.looks = Tally()
        self.requests = 0
        self.submits: list[Submitted] = []
        self._keys = None if keys is None else frozenset((*keys, *broke))
        self._links = links or Links()
        self._clock = clock
        self._routes = Routes(families, endpoints)
        self._intake = Intake(self._routes, families=families, jobs=jobs or Jobs())
        self._ledger = self._intake.ledger
        self._gate = Gate(
            self._ledger,
            broke=frozenset(broke),
            queue_limit=queue_limit,
            spam_window=spam_window,
        )
        self._courier = Courier(webhooks or Webhooks(), clock)

    def plant(
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
        return self._intake.plant(
            Ticket.of(ticket), now=self._clock(), duration=duration, fails=fails, output=output
        ).ticket

    def plant_many(self, count: int, families: Iterable[str] | None = None) -> list[Ticket]:
        """
        Start many jobs now, of these families (or all) in turn.

        Raises:
            ValueError: No such family.
        """
        names = [*(self._intake.families if families is None else families)]
        return [self.plant(self._intake.new_ticket(name)) for name in islice(cycle(names), count)]

    def script(self, ticket: TicketLike, replies: Iterable[Scripted | None]) -> None:
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
        self._ledger.set_script(self._routes.shelves[scripted.family], scripted.id, replies)

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """The webhooks that were sent, or kept back, in their order."""
        return self._courier.deliveries

    def delivering(self) -> AbstractAsyncContextManager[None]:
        """
        Deliver webhooks while the block runs; served emulators do so anyway.

        A submit that names a `webhook` starts one, or more. What waits for its time when the block
        ends is not delivered. Jobs end by the emulator's clock, while the waiting is done by that
        of the event loop: let both be the same.

        Example:
            async with emulator.delivering():
                ...
        """
        return self._courier.at_work()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await take_part(scope, receive, send)
            return
        self.requests += 1
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception:
            # A fault of the emulator is the caller's 500 at once, and still somebody's traceback.
            await as_json(500, messages.SERVER_ERROR)(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        route = self._routes.find(request.scope["path"])
        match route:
            case None:
                text = f"The route {request.scope['path'].strip('/')} could not be found."
                return as_json(404, messages.refusal(text))
            case File(path):
                return self._file(path, request)
            case Fetch(shelf):
                methods: tuple[str, ...] = (shelf.family.method,)
            case Submit():
                methods = ("POST",)
            case Ask():
                # The documents ask by both methods.
                methods = ("POST", "GET")
            case _:
                assert_never(route)
        if request.method not in methods:
            text = f"The {request.method} method is not supported for this route."
            return as_json(405, messages.refusal(text), allow=", ".join(methods))
        return await self._asked(route, request)

    async def _asked(self, route: Fetch | Submit | Ask, request: Request) -> Response:
        try:
            fields = await read_fields(request)
        except UnreadableBodyError:
            return as_json(200, messages.UNREADABLE)
        key = find_key(fields, request)
        fields.pop("key", None)
        if not key or (self._keys is not None and key not in self._keys):
            text = messages.BAD_KEY if key else messages.NO_KEY
            return as_json(401, messages.refusal(text, spelled=spelling_of(route)))
        match route:
            case Fetch():
                return self._fetch(route, fields, self._site(request))
            case Submit():
                return await self._submit(route, fields, key, self._site(request))
            case Ask(endpoint):
                return self._told(endpoint, fields, key, self._site(request))
            case _:
                assert_never(route)

    def _fetch(self, route: Fetch, fields: Mapping[str, Any], site: Site) -> Response:
        shelf = route.shelf
        id_ = route.id or str(fields.get("request_id") or fields.get("id") or "")
        try:
            ticket = Ticket(shelf.family.name, id_)
        except ValueError:
            return as_json(400, messages.refusal(messages.NO_ID))
        job = self._ledger.find(shelf, id_)
        work = ticket.family
        if job is not None and job.ticket.family in shelf.names:
            ticket, work = job.ticket, job.work
        self.looks[ticket] += 1
        scripted = self._ledger.scripted(shelf, id_)
        if scripted is not None:
            return Response(scripted.body, scripted.status_code, {**JSON, **scripted.headers})
        rule = shelf.family.status
        if job is None:
            status_code, body = reply_bodies.missing(rule)
            return Response(body, status_code, JSON)
        body = reply_bodies.fetched(job, rule, work=work, now=self._clock(), site=site)
        return Response(body, 200, JSON)

    async def _submit(
        self, route: Submit, fields: Mapping[str, Any], key: str, site: Site
    ) -> Response:
        endpoint, now = route.endpoint, self._clock()
        asked = {**fields, **route.places}
        refused = self._gate.refusal(endpoint, asked, key, now)
        job = None if refused else self._intake.start(route, fields, now=now)
        self.submits.append(
            Submitted(
                family=job.ticket.family if job else str(endpoint.resolved_by),
                endpoint=endpoint.name,
                path=route.path,
                fields=dict(fields),
                ticket=job.ticket if job else None,
            )
        )
        if job is None:
            return as_json(*(refused or (500, messages.SERVER_ERROR)))
        self._gate.remember(endpoint, asked, key, now)
        self._ledger.enqueue(key, job)
        reply = self._intake.reply(job, site, now=now)
        await self._courier.announce(job, self._intake.family(job.ticket.family).status, site)
        return as_json(*reply)

    def _told(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, site: Site
    ) -> Response:
        now = self._clock()
        refused = missing(endpoint, fields)
        if refused:
            return as_json(*refused)
        return as_json(200, told(endpoint, self._intake, site, key=key, now=now))

    def _file(self, path: str, request: Request) -> Response:
        """A file of a finished job; links to unfinished work lead nowhere yet."""
        _folder, _, rest = path.partition("/")
        family, _, name = rest.partition("/")
        id_, _, last = name.rpartition("-")
        number, _, suffix = last.partition(".")
        shelf = self._routes.shelves.get(family)
        job = self._ledger.find(shelf, id_) if shelf else None
        there = (
            job is not None
            and job.done(self._clock())
            and job.suffix == suffix
            and number.isdecimal()
            and int(number) < job.files
        )
        if job is None or not there:
            return not_found()
        now = self._clock()
        age = now - job.started - job.duration
        return self._links.answer(reply_bodies.file_of(job, int(number)), request, age=age, now=now)

    def _site(self, request: Request) -> Site:
        return site_of(request, query=self._links.query(self._clock()))
