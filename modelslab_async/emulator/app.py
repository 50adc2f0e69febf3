"""Emulator: an ASGI application that answers as the service does. It knows no client."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import cycle, islice
from typing import Any, assert_never

from attrs import frozen
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelslab_async._core.catalog import FAMILIES
from modelslab_async._core.families import Family
from modelslab_async._core.tickets import Ticket, TicketLike

from . import answers, wording
from .answers import Site
from .asking import UnreadableBodyError, find_key, read_fields
from .dialects import dialect_of
from .endpoints import Endpoint
from .intake import Intake
from .jobs import Jobs
from .ledger import Scripted
from .links import Links, not_found
from .routes import Fetch, File, RequestCount, Routes, Submit

_JSON = {"content-type": "application/json"}


@frozen(kw_only=True)
class Submitted:
    """
    One submit that was received.

    Args:
        family: The family of its endpoint.
        path: The path of its endpoint.
        fields: Its parameters, without the key.
        ticket: What it started; None: it was refused.
    """

    family: str
    path: str
    fields: Mapping[str, Any]
    ticket: Ticket | None


class Emulator:
    """
    A stand-in for the service, as an ASGI application.

    All of its routes are served below `/api` and without it. There is nothing in the background:
    what a job has come to is computed from the clock when somebody asks.

    Args:
        families: The registry, or a part of it.
        jobs: How jobs behave.
        keys: The accepted keys; None accepts any that is not empty.
        broke: Keys that are valid but have no credits: they may fetch, and submit nothing.
        queue_limit: How many unfinished submitted jobs a key may have; None is no limit.
        links: How the links to files behave.
        clock: Where the time in seconds comes from.

    Attributes:
        looks: How often each ticket was fetched.
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
        jobs: Jobs | None = None,
        keys: Collection[str] | None = None,
        broke: Collection[str] = (),
        queue_limit: int | None = None,
        links: Links | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.looks: Counter[Ticket] = Counter()
        self.requests = 0
        self.submits: list[Submitted] = []
        self._keys = None if keys is None else frozenset((*keys, *broke))
        self._broke = frozenset(broke)
        self._queue_limit = queue_limit
        self._links = links or Links()
        self._clock = clock
        self._routes = Routes(families)
        self._intake = Intake(self._routes, families=families, jobs=jobs or Jobs())
        self._ledger = self._intake.ledger

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        self.requests += 1
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception:
            # A fault of the emulator is the caller's 500 at once, and still somebody's traceback.
            await _json(500, wording.SERVER_ERROR)(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        route = self._routes.find(request.scope["path"])
        match route:
            case None:
                text = f"The route {request.scope['path'].strip('/')} could not be found."
                return _json(404, wording.refusal(text))
            case File(path):
                return self._file(path, request)
            case Fetch(shelf):
                methods: tuple[str, ...] = (shelf.family.method,)
            case Submit():
                methods = ("POST",)
            case RequestCount():
                methods = ("POST", "GET")
            case _:
                assert_never(route)
        if request.method not in methods:
            text = f"The {request.method} method is not supported for this route."
            return _json(405, wording.refusal(text), allow=", ".join(methods))
        return await self._asked(route, request)

    async def _asked(self, route: Fetch | Submit | RequestCount, request: Request) -> Response:
        try:
            fields = await read_fields(request)
        except UnreadableBodyError:
            return _json(200, wording.UNREADABLE)
        key = find_key(fields, request)
        fields.pop("key", None)
        if not key or (self._keys is not None and key not in self._keys):
            text = wording.BAD_KEY if key else wording.NO_KEY
            return _json(401, wording.refusal(text, spelled=_spelling(route)))
        match route:
            case Fetch():
                return self._fetch(route, fields, self._site(request))
            case Submit():
                return self._submit(route, fields, key, self._site(request))
            case RequestCount():
                count = self._ledger.queued(key, self._clock())
                return _json(200, {"status": "success", "processing_count": count})
            case _:
                assert_never(route)

    def _fetch(self, route: Fetch, fields: Mapping[str, Any], site: Site) -> Response:
        shelf = route.shelf
        id_ = route.id or str(fields.get("request_id") or fields.get("id") or "")
        try:
            ticket = Ticket(shelf.family.name, id_)
        except ValueError:
            return _json(400, wording.refusal(wording.NO_ID))
        job = self._ledger.find(shelf, id_)
        work = ticket.family
        if job is not None and job.ticket.family in shelf.names:
            ticket, work = job.ticket, job.work
        self.looks[ticket] += 1
        scripted = self._ledger.scripted(shelf, id_)
        if scripted is not None:
            return Response(scripted.body, scripted.status_code, {**_JSON, **scripted.headers})
        rule = shelf.family.status
        if job is None:
            status_code, body = answers.missing(rule)
            return Response(body, status_code, _JSON)
        body = answers.fetched(job, rule, work=work, now=self._clock(), site=site)
        return Response(body, 200, _JSON)

    def _submit(self, route: Submit, fields: Mapping[str, Any], key: str, site: Site) -> Response:
        endpoint, now = route.endpoint, self._clock()
        refused = self._refusal(endpoint, fields, key, now)
        job = self._intake.start(route, fields, now=now) if refused is None else None
        self.submits.append(
            Submitted(
                family=job.ticket.family if job else endpoint.family,
                path=endpoint.path,
                fields=dict(fields),
                ticket=job.ticket if job else None,
            )
        )
        if job is None:
            return refused or _json(500, wording.SERVER_ERROR)
        self._ledger.enqueue(key, job)
        return _json(*self._intake.reply(job, site, now=now))

    def _refusal(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float
    ) -> Response | None:
        spelled = dialect_of(endpoint.work).message
        if endpoint.needs_prompt and not fields.get("prompt"):
            return _json(400, wording.refusal(wording.NO_PROMPT, spelled=spelled))
        if key in self._broke:
            return _json(402, wording.refusal(wording.NO_CREDITS, spelled=spelled))
        limit = self._queue_limit
        if limit is not None and self._ledger.queued(key, now) >= limit:
            return _json(429, wording.queue_full(limit, spelled=spelled))
        return None

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
        return self._links.answer(answers.file_of(job, int(number)), request, age=age, now=now)

    def _site(self, request: Request) -> Site:
        host = request.headers.get("host", "localhost")
        mount = "/api" if request.scope["path"].startswith("/api/") else ""
        query = self._links.query(self._clock())
        return Site(f"{request.scope['scheme']}://{host}", mount, query)


def _json(status_code: int, body: object, **headers: str) -> Response:
    return Response(wording.encode(body), status_code, {**_JSON, **headers})


def _spelling(route: Fetch | Submit | RequestCount) -> str:
    match route:
        case Fetch(shelf):
            return dialect_of(shelf.family.name).message
        case Submit(endpoint):
            return dialect_of(endpoint.work).message
        case RequestCount():
            return "message"
        case _:
            assert_never(route)


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Take part in a server's start and stop; refuse websockets."""
    if scope["type"] != "lifespan":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
