"""RequestHandler: answers HTTP requests from the stored jobs."""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import Response

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.endpoint import Endpoint

from . import reply_bodies, shared_replies
from .family_reply_formats import format_of
from .file_link_settings import FileLinks, not_found
from .job_intake import JobIntake, ReceivedSubmit
from .poll_counts import PollCounts
from .reply_bodies import URLBuilder
from .request_fields import UnreadableRequestError, find_key, read_count, read_fields
from .routes import FetchRoute, FileRoute, Routes, SubmitRoute, UtilityRoute
from .submit_checks import SubmitChecks, missing_parameter
from .utility_replies import UtilityReplies
from .webhook_sender import WebhookSender

_JSON_HEADERS = {"content-type": "application/json"}


def json_response(status_code: int, body: object, **headers: str) -> Response:
    """Build a response with a JSON body."""
    return Response(shared_replies.encode(body), status_code, {**_JSON_HEADERS, **headers})


class RequestHandler:
    """
    Answers requests, and records polls and submits.

    Args:
        routes: Maps a path to an endpoint, a family or a file.
        intake: Starts jobs, and holds the store of all jobs.
        submit_checks: Decides which submits are refused.
        webhook_sender: Sends the webhooks of submitted jobs.
        keys: The accepted API keys. With None, any key that is not empty is accepted.
        links: How the links to files behave.
        clock: Returns the time in seconds.
        strict_families: Whether a job is found only by polls in its own families.

    Attributes:
        polls: How many times each ticket was polled.
        submits: The submits that the emulator received.
        refused_submits: How many submits were refused. This includes submits with a wrong API key
            or an unreadable body, which are not in `submits`.
    """

    def __init__(
        self,
        *,
        routes: Routes,
        intake: JobIntake,
        submit_checks: SubmitChecks,
        webhook_sender: WebhookSender,
        keys: frozenset[str] | None,
        links: FileLinks,
        clock: Callable[[], float],
        strict_families: bool,
    ) -> None:
        self.polls = PollCounts()
        self.submits: list[ReceivedSubmit] = []
        self.refused_submits = 0
        self._routes = routes
        self._intake = intake
        self._job_store = intake.job_store
        self._find_job = (
            self._job_store.find if strict_families else self._job_store.find_in_any_family
        )
        self._submit_checks = submit_checks
        self._webhook_sender = webhook_sender
        self._keys = keys
        self._links = links
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """Return the response to a request."""
        route = self._routes.find(request.scope["path"])
        match route:
            case None:
                text = f"The route {request.scope['path'].strip('/')} could not be found."
                return json_response(404, shared_replies.refusal(text))
            case FileRoute(path):
                return self._answer_file(path, request)
            case FetchRoute(family_group):
                methods: tuple[str, ...] = (family_group.family.method,)
            case SubmitRoute():
                methods = ("POST",)
            case UtilityRoute():
                # The documentation uses GET for some utility endpoints and POST for others. The
                # emulator accepts both methods for all of them.
                methods = ("POST", "GET")
            case _:
                assert_never(route)
        if request.method not in methods:
            text = f"The {request.method} method is not supported for this route."
            return json_response(405, shared_replies.refusal(text), allow=", ".join(methods))
        return await self._dispatch(route, request)

    async def _dispatch(
        self, route: FetchRoute | SubmitRoute | UtilityRoute, request: Request
    ) -> Response:
        try:
            fields = await read_fields(request)
        except UnreadableRequestError:
            self.refused_submits += isinstance(route, SubmitRoute)
            return json_response(200, shared_replies.INVALID_REQUEST)
        key = find_key(fields, request)
        fields.pop("key", None)
        if not key or (self._keys is not None and key not in self._keys):
            self.refused_submits += isinstance(route, SubmitRoute)
            text = shared_replies.INVALID_KEY if key else shared_replies.KEY_REQUIRED
            return json_response(
                401, shared_replies.refusal(text, message_field=_message_field(route))
            )
        urls = _url_builder(request, query=self._links.query(self._clock()))
        match route:
            case FetchRoute():
                return self._answer_fetch(route, fields, urls)
            case SubmitRoute():
                return await self._answer_submit(route, fields, key, urls)
            case UtilityRoute(endpoint, path_params):
                return self._answer_utility(endpoint, {**fields, **path_params}, key, urls)
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
            return json_response(400, shared_replies.refusal(shared_replies.ID_REQUIRED))
        job = self._find_job(family_group, id_)
        job_type = ticket.family
        if job is not None and job.ticket.family in family_group.family_names:
            ticket, job_type = job.ticket, job.job_type
        self.polls[ticket] += 1
        scripted = self._job_store.scripted(family_group, id_)
        if scripted is not None:
            return Response(
                scripted.body, scripted.status_code, {**_JSON_HEADERS, **scripted.headers}
            )
        rule = family_group.family.status
        if job is None:
            status_code, body = reply_bodies.unknown_id(rule)
            return Response(body, status_code, _JSON_HEADERS)
        body = reply_bodies.fetched(job, rule, job_type=job_type, now=self._clock(), urls=urls)
        return Response(body, 200, _JSON_HEADERS)

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
            self.refused_submits += 1
            return json_response(*(refused or (500, shared_replies.SERVER_ERROR)))
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
        """Answer a request that makes no ticket, such as an upload."""
        refused = missing_parameter(endpoint, fields)
        if refused:
            return json_response(*refused)
        replies = UtilityReplies(intake=self._intake)
        return json_response(200, replies.body(endpoint, fields, key, urls, self._clock()))

    def _answer_file(self, path: str, request: Request) -> Response:
        """Answer a request for a job's file, with a 404 if the file does not exist yet."""
        _folder, _, rest = path.partition("/")
        family, _, name = rest.partition("/")
        id_, _, last = name.rpartition("-")
        number, _, suffix = last.partition(".")
        family_group = self._routes.family_groups.get(family)
        job = self._job_store.find(family_group, id_) if family_group else None
        now = self._clock()
        exists = (
            job is not None
            and job.has_succeeded(now)
            and job.link_suffix == suffix
            and number.isdecimal()
            and read_count(number) < job.file_count
        )
        if job is None or not exists:
            return not_found()
        age = now - job.started - job.duration
        return self._links.answer(
            reply_bodies.output_file(job, int(number)), request, age=age, now=now
        )


def _url_builder(request: Request, *, query: str) -> URLBuilder:
    """Return a `URLBuilder` for the request's host. `query` is the query string of file links."""
    host = request.headers.get("host", "localhost")
    path_prefix = "/api" if request.scope["path"].startswith("/api/") else ""
    return URLBuilder(f"{request.scope['scheme']}://{host}", path_prefix, query)


def _message_field(route: FetchRoute | SubmitRoute | UtilityRoute) -> str:
    """Return the name of the message field in this route's refusals: `message` or `messege`."""
    match route:
        case FetchRoute(family_group):
            return format_of(family_group.family.name).message_field
        case SubmitRoute(endpoint) | UtilityRoute(endpoint):
            return format_of(endpoint.name).message_field
        case _:
            assert_never(route)
