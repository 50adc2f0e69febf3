"""Client: the public methods of the library. It checks arguments and passes them to the engine."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from typing import Any, Self, overload

from ._engine.account_protocol import Account
from ._engine.bulk_generation import BulkGeneration, RequestT
from ._engine.engine import Engine
from ._engine.gathered_outcomes import gather_outcomes
from ._engine.outcome_stream import stream_outcomes
from ._engine.settings import DEFAULT_QUEUE, Settings
from ._engine.single_generation import SingleGeneration
from ._engine.ticket_updates import stream_updates
from ._models.argument_checks import check_nonnegative_seconds
from ._models.events import Event, Submitted
from ._models.replies import Processing, Reply, Success
from ._models.submission import Submission
from ._models.ticket import TicketLike, Tickets
from ._models.unresolved_outcomes import Outcome, Unsubmitted
from ._polling.watchers import success_or_raise
from ._registry.endpoint import Endpoint
from ._registry.family import Family
from ._scheduling.pace import Pace
from ._scheduling.pace_protocol import PacePolicy
from ._submitting.submit_recorder import reply_or_raise
from ._transport.credentials import Credentials
from ._transport.httpx_or_httpx2 import HTTPArgument
from ._transport.transport_choice import as_transport


class Client:
    """
    Waits for queued generations of any API family, and starts new ones.

    Use it with `async with`, or call `aclose` at the end. All tasks of one event loop may share it.

    Args:
        api_key: Your API key; by default, `MODELSLAB_API_KEY` from the environment.
        enterprise_key: By default, `MODELSLAB_ENTERPRISE_API_KEY`, else the same as `api_key`.
        base_url: The URL of the service; by default, `MODELSLAB_BASE_URL`, else the public URL.
        legacy_base_url: The same for the older host; by default, `MODELSLAB_LEGACY_BASE_URL`.
        families: By default, `FAMILIES`. Add one with `FAMILIES | {"name": Family(...)}`.
        endpoints: By default, `ENDPOINTS`. Add one in the same way.
        http: The transport: an `HTTPTransport`, an `AsyncClient` (which stays open) or
            `AsyncBaseTransport` of httpx or httpx2, or an object with an async method
            `exchange(request)`.
        pace: When to poll: a `Pace`, `Pace.adaptive()`, or an object with the methods of `Pace`.
        rate: The maximum number of polls a second per API key; None for no limit. Calls of `fetch`
            do not count.
        workers: The maximum number of polls in flight at once.
        timeout: The maximum number of seconds that one poll may take.
        queue: The maximum number of queued generations per API key; None for no limit. The service
            allows 5, 10 or 15, depending on the plan. When the queue is full, a submit waits.
        account: A shared account: an `SQLiteAccount` or a `PostgresAccount`. It sets the `rate` and
            `queue` of all clients that use it.
        submit_timeout: The maximum number of seconds that one submit or one upload may take.
        unsent_timeout: How many seconds to retry a submit that cannot be sent. After that, the
            submit fails with a `TransportError`, and nothing is paid.
        max_submits: How many submits the client may pay for, 0 or more; None for no limit.
        wait_timeout: The timeout of calls whose `timeout` is None; None for no limit.
        on_submitted: Called by `submit` with each `Submitted`, to store its ticket. May be async.
            If it raises, `submit` raises the same error, with a note that names the ticket.
        on_event: Called with each `Event` of polls, submits and uploads. It must not block.

    Attributes:
        engine: Internal, for `Batch` and the webhook receiver. It may change in any release.

    Raises:
        ValueError: There is no API key, or an argument is out of its range.
        TypeError: An argument has a wrong type.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        enterprise_key: str | None = None,
        base_url: str | None = None,
        legacy_base_url: str | None = None,
        families: Mapping[str, Family] | None = None,
        endpoints: Mapping[str, Endpoint] | None = None,
        http: HTTPArgument | None = None,
        pace: PacePolicy = Pace(),
        rate: float | None = None,
        workers: int = 32,
        timeout: float = 30.0,
        queue: int | None = DEFAULT_QUEUE,
        account: Account | None = None,
        submit_timeout: float = 120.0,
        unsent_timeout: float = 30.0,
        max_submits: int | None = None,
        wait_timeout: float | None = None,
        on_submitted: Callable[[Submitted], object] | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        settings = Settings.of(locals())
        credentials = Credentials.resolve(api_key, enterprise_key)
        self.engine = Engine(settings, credentials, as_transport(http, workers))

    async def __aenter__(self) -> Self:
        self.engine.check_usable()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every wait and close the connections. A new client can wait for the tickets again."""
        await self.engine.aclose()

    async def fetch(self, ticket: TicketLike) -> Reply:
        """
        Poll a ticket once, and return the reply.

        Raises:
            TransientError: The poll failed; the job may still be fine.
            Refused: The server refuses the API key, the plan or the request.
            ValueError: The ticket is ill-formed, or its family is unknown. Nothing was sent.
        """
        return await self.engine.fetch(self.engine.ticket_of(ticket))

    async def wait(self, ticket: TicketLike, *, timeout: float | None = None) -> Success:
        """
        Wait until a generation is done.

        Args:
            ticket: A `Ticket`, its text `"images:123"`, or a pair `("images", 123)`.
            timeout: The maximum number of seconds to wait; 0 to give up at once, None for the
                client's `wait_timeout`, and `float("inf")` for no limit.

        Raises:
            GenerationFailed: The job failed. Or the server does not know the id (`TicketNotFound`).
            WaitTimeout: The time is up. Wait for the same ticket again to resume.
            Refused: The server refuses the API key, the plan or the request.
            TransientError: Polls failed too often or too long: see `Pace(max_failures, outage)`.
            ValueError: The ticket is ill-formed, or its family is unknown. Nothing was sent.
        """
        if timeout is not None:
            check_nonnegative_seconds("timeout", timeout)
        return success_or_raise(await self.engine.outcome(self.engine.ticket_of(ticket), timeout))

    async def gather(
        self, tickets: Iterable[TicketLike], *, timeout: float | None = None
    ) -> list[Outcome]:
        """
        Wait for many tickets. Return all outcomes, even failures, in the order of the tickets.

        Args:
            tickets: Tickets in any form. A ticket may occur twice.
            timeout: The maximum number of seconds to wait for each ticket. The outcome of a ticket
                that is still open then is `Unresolved`.

        Raises:
            ValueError: A ticket is ill-formed, or its family is unknown. Nothing was sent.
        """
        return await gather_outcomes(self.engine, tickets, timeout)

    def stream(
        self, tickets: Tickets, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[Outcome, None]:
        """
        Wait for many tickets, and yield their outcomes as they end.

        The client reads `tickets` only as far as `window` allows. If the caller leaves the loop,
        all waits for these tickets end.

        Args:
            tickets: An iterable or async iterable of tickets in any form.
            timeout: The maximum number of seconds to wait for each ticket after it is read from
                `tickets`. The outcome of a ticket that is still open then is `Unresolved`.
            window: The maximum number of tickets that are open or whose outcome the caller has not
                yet received.

        Raises:
            ValueError: A ticket is ill-formed, or its family is unknown. This error, and any error
                that `tickets` raises, comes after the outcomes of all earlier tickets.
        """
        return stream_outcomes(self.engine, tickets, timeout=timeout, window=window, recent=window)

    def watch(self, ticket: TicketLike) -> AsyncGenerator[Processing | Outcome, None]:
        """Yield each new `Processing`, then the outcome. A slow caller may miss replies."""
        return stream_updates(self.engine, ticket)

    def nudge(self, ticket: TicketLike) -> None:
        """
        Poll a ticket now, if a caller waits for it. Use this if the job may just have ended.

        Repeated calls poll the ticket at most once every `floor` seconds; see `Pace`.
        """
        self.engine.nudge(self.engine.ticket_of(ticket))

    @overload
    async def submit(self, endpoint: Submission, /) -> Processing | Success: ...
    @overload
    async def submit(self, endpoint: str, /, **params: Any) -> Processing | Success: ...
    async def submit(self, endpoint: str | Submission, /, **params: Any) -> Processing | Success:
        """
        Start a generation as soon as the service's queue has a free slot.

        A submit is sent again only if it provably never left this machine, or if the server refused
        it because of a rate limit. If the caller is cancelled while the request is in flight,
        `on_submitted` still gets the ticket. A `Success` is returned if the work was done at once.

        Args:
            endpoint: `family/endpoint`, such as `"realtime/text2img"` (`modelslab-async endpoints`
                lists all), or a `Submission`, which includes the parameters.
            params: The parameters of the endpoint, sent unchanged. A parameter that is None is left
                out. A parameter for a link to a file (`Endpoint.takes_file`) also takes a path,
                bytes or an open file. The file is uploaded first (up to 5 MB, kept for 24 hours).

        Raises:
            SubmitUncertain: The work may have been started. Search for it before you pay again.
            GenerationFailed: The server accepted the work, and it failed at once.
            ModelsLabError: Nothing was started: `Refused`, `TransientError` (nothing was sent, or
                an upload failed), `UnusableFile`, `SubmitLimitReached` or `ClientClosed`.
            ValueError: The endpoint is unknown, or the parameters do not fit. Nothing was sent.
        """
        submit_request = await self.engine.prepare(Submission.of(endpoint, params))
        return reply_or_raise(await self.engine.submitter.submit(submit_request))

    @overload
    async def generate(
        self, endpoint: Submission, /, *, timeout: float | None = None
    ) -> Success: ...
    @overload
    async def generate(
        self, endpoint: str, /, *, timeout: float | None = None, **params: Any
    ) -> Success: ...
    async def generate(
        self, endpoint: str | Submission, /, *, timeout: float | None = None, **params: Any
    ) -> Success:
        """
        Start work and wait until it is done.

        Args:
            endpoint: See `submit`.
            timeout: The maximum number of seconds from the call to the result: the wait for a slot,
                the submit and the polls together. With None, `wait_timeout` limits only the polls.
            params: See `submit`.

        Raises:
            SubmitTimeout: The time is up, and nothing was started or paid.
            SubmitUncertain: The work may have been started, for example if no reply came in time.
            WaitTimeout: The time is up, and the work goes on. To resume, wait for its `ticket`.
            ModelsLabError: An error of `submit` or `wait`. If it has a `ticket`, work was started.
        """
        self.engine.endpoints.check_keyword("generate", "timeout", params)
        return await SingleGeneration(self.engine, timeout).run(Submission.of(endpoint, params))

    def generate_many(
        self,
        requests: Iterable[RequestT] | AsyncIterable[RequestT],
        *,
        timeout: float | None = None,
        window: int = 100,
    ) -> AsyncGenerator[tuple[RequestT, Outcome | Unsubmitted], None]:
        """
        Start many generations, and yield each request with its outcome as the outcomes come.

        The client reads `requests` only as far as `window` allows. A failed request does not end
        other requests. The client sends no more requests with an API key that the server has
        refused, and none at all once the caller leaves the loop.

        Args:
            requests: `Submission` objects, or pairs of an endpoint and its parameters.
            timeout: The maximum number of seconds to wait for each generation after it is started.
                The outcome of a generation that is still open then is `Unresolved`.
            window: The maximum number of requests that are in progress or whose outcome the caller
                has not yet received.

        Raises:
            ValueError: A request is ill-formed, its endpoint is unknown, or its parameters do not
                fit. This error, and any error that `requests` or `on_submitted` raises, comes after
                the outcomes of all earlier requests.
        """
        return BulkGeneration(self.engine, timeout).run(requests, window)

    async def ask(self, endpoint: str | Submission, /, **params: Any) -> dict[str, Any]:
        """
        Call an endpoint that answers at once, such as the balance, and return the reply's body.

        Raises:
            ModelsLabError: There is no usable reply; see `fetch`.
            ValueError: The endpoint is unknown, or the parameters do not fit.
        """
        self.engine.check_usable()
        submission = Submission.of(endpoint, params)
        return await self.engine.endpoints.ask(submission.endpoint, submission.parameters)

    def webhook_url(self, base: str, *, secret: str | None = None, family: str = "") -> str:
        """
        Make the address for `submit(webhook=...)`, with a part that cannot be guessed.

        Args:
            base: The receiver's public address, such as `"https://me.example/hooks?query"`. Without
                a scheme or a host, or with a `#`, a `ValueError` is raised.
            secret: The receiver's secret; None for a random secret that this client keeps.
            family: The family of the endpoint. A receiver with `on_reply` needs it.
        """
        return self.engine.webhook_url(base, secret, family)
