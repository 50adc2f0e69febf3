"""Client: the front door. Takes tickets in any form and hands back replies and outcomes."""

import hashlib
import hmac
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, suppress
from itertools import product
from typing import Any, TypeAlias

import httpx

from ._aio.bounded_map import Deliveries
from ._models.errors import AuthenticationError, ModelsLabError, PaymentRequired
from ._models.events import Event, Submitted
from ._models.outcomes import Outcome, Unsubmitted
from ._models.replies import Processing, Success
from ._models.ticket import Ticket
from ._models.validation import (
    check_count,
    check_function,
    check_kind,
    check_patience,
    check_rate,
    check_span,
    check_table,
)
from ._parsing.webhook_payload import Hint
from ._polling.listeners import Hearers
from ._polling.status_client import Looker, rooted
from ._polling.waits import Waits
from ._polling.watchers import NOBODY
from ._registry.endpoint import Endpoint
from ._registry.endpoints import ENDPOINTS
from ._registry.families import FAMILIES
from ._registry.family import Family
from ._scheduling.adaptive.adaptive_pace import Learned
from ._scheduling.pace import Pace
from ._submitting.endpoint_service import Asker
from ._submitting.slots import Places
from ._submitting.submit_log import receipt_of
from ._submitting.submit_request import Order
from ._submitting.submitter import Submitter
from ._submitting.uploader import as_it_came
from ._transport.base import HTTP
from ._transport.credentials import Keys
from ._transport.sender import Sender, as_http

GenerationRequest: TypeAlias = tuple[str, Mapping[str, Any]]
"""What `generate_many` takes: an endpoint and its parameters."""


class Client(Waits):
    """
    Awaits queued generations: one or a million, of any API family, each asked about by one poller.

    Use it with `async with`, or call `aclose` at the end. It may be opened and closed in different
    tasks and shared by all tasks of one event loop.

    Args:
        api_key: Your key; else the environment's `MODELSLAB_API_KEY`.
        enterprise_key: The key for enterprise families; else `MODELSLAB_ENTERPRISE_API_KEY`, else
            the first key.
        base_url: Where the service is, `https://modelslab.com/api`; else `MODELSLAB_BASE_URL`.
        legacy_base_url: Where its older host is, `https://stablediffusionapi.com/api`; else
            `MODELSLAB_LEGACY_BASE_URL`.
        families: The registry. Add a family with `FAMILIES | {"name": Family(...)}`.
        endpoints: The table of what can be submitted to. Add to it in the same way.
        http: What to send through: an `httpx.AsyncClient` (used as it is and left open), an
            `httpx.AsyncBaseTransport`, or an object with `async def exchange(request)`.
        pace: The rule that says when to look: a `Pace`, or one that learns, `Pace.learned()`.
        rate: The most looks a second over all tickets of a key that this client waits for; None for
            no such bound. When more is due than may be looked at, families take turns, and in each
            the most overdue ticket goes first. `fetch` looks at once and does not count.
        workers: How many looks may be on their way at once.
        timeout: The most seconds that one look may take.
        queue: How many generations a key may have queued at once: 5, 10 or 15, as the plan says;
            None for no bound. Submits wait for a place.
        submit_timeout: The most seconds that one submit may take, or one file that it needs; some
            endpoints answer with the result itself.
        on_submitted: Awaited with each `Submitted` before its ticket is handed out, so that it can
            be stored first. What it raises is raised by `submit`, and a note names the ticket.
        on_event: Called, not awaited, with each `Looked`, `Faulted`, `Paused` and `Settled`. While
            it blocks nothing else goes on.

    Raises:
        ValueError: There is no key, or an argument is out of its range.
        TypeError: An argument is of another kind.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        enterprise_key: str | None = None,
        base_url: str | None = None,
        legacy_base_url: str | None = None,
        families: Mapping[str, Family] = FAMILIES,
        endpoints: Mapping[str, Endpoint] = ENDPOINTS,
        http: HTTP | httpx.AsyncBaseTransport | httpx.AsyncClient | None = None,
        pace: Pace | Learned = Pace(),
        rate: float | None = None,
        workers: int = 32,
        timeout: float = 30.0,
        queue: int | None = 5,
        submit_timeout: float = 120.0,
        on_submitted: Callable[[Submitted], Awaitable[object]] | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        for name, text in (
            ("api_key", api_key),
            ("enterprise_key", enterprise_key),
            ("base_url", base_url),
            ("legacy_base_url", legacy_base_url),
        ):
            check_kind(name, text, str | None, "a text or None")
        check_table("families", families, Family)
        check_table("endpoints", endpoints, Endpoint)
        check_kind("pace", pace, Pace | Learned, "a Pace, such as Pace.fixed(3) or Pace.learned()")
        check_count("workers", workers)
        check_span("timeout", timeout)
        check_count("queue", queue, things="places", optional=True)
        check_span("submit_timeout", submit_timeout)
        check_rate("rate", rate, things="looks")
        check_function("on_submitted", on_submitted, awaited=True)
        check_function("on_event", on_event, awaited=False)
        sender = Sender(as_http(http, workers), Keys.find(api_key, enterprise_key), timeout=timeout)
        places = rooted(families, base_url=base_url, legacy_base_url=legacy_base_url)
        starts = rooted(endpoints, base_url=base_url, legacy_base_url=legacy_base_url)
        self._queue = queue
        self._secret = secrets.token_hex(32)
        self._tokens: set[str] = set()
        self._asker = Asker(starts, places, sender)
        self._submitter = Submitter(
            self._asker,
            places,
            sender,
            places=self._places,
            pace=pace.limits,
            timeout=submit_timeout,
            on_submitted=on_submitted or _told_nobody,
            is_hooked=self._is_hooked,
        )
        super().__init__(
            Looker(places, sender),
            pace=pace,
            rate=rate,
            workers=workers,
            hearers=Hearers(on_event),
            start_of=self._submitter.start_of,
            settled=self._submitter.settled,
        )

    async def _close(self) -> None:
        await self._submitter.aclose()
        await super()._close()

    async def submit(self, endpoint: str, /, **params: Any) -> Processing | Success:
        """
        Start work, as soon as the account's queue has a place for it.

        A submit is never sent twice, unless it provably never left this machine or the server
        refused it for its rate. If whoever awaits this is cancelled while the request is on its
        way, `on_submitted` still hears of the ticket.

        Args:
            endpoint: `family/endpoint`, such as `"realtime/text2img"`; the command
                `modelslab-async endpoints` lists all.
            params: What the endpoint takes. They pass as they are; None leaves one out. Where the
                service wants a link to an image, a video or a sound (`Endpoint.takes_file`), a
                path, bytes or an open file will do: up to 5 MB are sent to the service once there
                is a place, and are kept there for 24 hours.

        Returns:
            A `Processing` whose ticket can be waited for, or a `Success` if it was done at once.

        Raises:
            SubmitUncertain: Work may or may not have been started; look before you pay again.
            Refused: The server refuses the key, the plan or the request. Nothing was started.
            GenerationFailed: It was taken, and failed at once.
            RateLimited: It was refused for its rate again and again. Nothing was started.
            TransportError: It never left this machine. Nothing was started.
            UnusableFile: A file cannot be read, is empty or too long. Nothing was started.
            LookFault: A file was not taken by the service, again and again. Nothing was started.
            ClientClosed: The client was closed before it was sent. Nothing was started.
            ValueError: The endpoint is unknown, a parameter is missing or misspelled, or a file
                stands where none is taken. Nothing was sent.

        Example:
            ```python
            begun = await client.submit("realtime/text2img", prompt="a lighthouse")
            print(begun.ticket)
            ```
        """
        return receipt_of(await self._submitter.submit(await self._ordered(endpoint, params)))

    async def generate(
        self, endpoint: str, /, *, timeout: float | None = None, **params: Any
    ) -> Success:
        """
        Start work and wait until it is done.

        Args:
            endpoint: See `submit`.
            timeout: The most seconds to wait once it is started; None for as long as it takes. The
                `ticket` of the `WaitTimeout` can be waited for again.
            params: See `submit`.

        Raises:
            ModelsLabError: Whatever `submit` and `wait` raise.
            ValueError: See `submit`.

        Example:
            ```python
            picture = await client.generate("realtime/text2img", prompt="a lighthouse")
            print(picture.output)
            ```
        """
        check_patience("timeout", timeout, optional=True)
        begun = await self.submit(endpoint, **params)
        if isinstance(begun, Success):
            return begun
        return await self.wait(begun.ticket, timeout=timeout)

    async def generate_many(
        self,
        requests: Iterable[GenerationRequest] | AsyncIterable[GenerationRequest],
        *,
        timeout: float | None = None,
        window: int = 100,
    ) -> AsyncGenerator[tuple[GenerationRequest, Outcome | Unsubmitted], None]:
        """
        Start much work and get each request with its outcome, as they end.

        The source is read as far as the window allows. A failure, be it a file that cannot be
        read, ends its own request alone; once the key is refused, the rest is not sent. Leaving the
        loop early starts nothing more.

        Args:
            requests: Pairs of an endpoint and its parameters.
            timeout: The most seconds to wait for each once it is started; one that is not over
                then is `Unresolved`.
            window: The most requests that are begun or not yet taken at once.

        Raises:
            ValueError: A request is ill-formed, its endpoint unknown, a parameter missing or
                misspelled. This, and whatever else the source or `on_submitted` raises, is raised
                after the outcomes of all requests before it.

        Example:
            ```python
            prompts = [("realtime/text2img", {"prompt": f"a cat, number {n}"}) for n in range(3)]
            async for (endpoint, params), outcome in client.generate_many(prompts):
                print(params["prompt"], outcome)
            ```
        """
        self._check_usable()
        check_patience("timeout", timeout, optional=True)
        check_count("window", window)
        refused: list[ModelsLabError] = []

        async def bring(request: GenerationRequest) -> Outcome | Unsubmitted:
            outcome = await self._outcome_of(request, timeout, refused)
            match outcome:
                case Unsubmitted(cause=AuthenticationError() | PaymentRequired() as error):
                    refused.append(as_it_came(error))
            return outcome

        deliveries = Deliveries(bring, window)
        async with aclosing(deliveries.of(requests, self._check_request)) as delivered:
            async for request, outcome in delivered:
                yield request, outcome

    async def ask(self, endpoint: str, /, **params: Any) -> dict[str, Any]:
        """
        Ask what is answered at once, such as the balance of the account; give the body that came.

        Raises:
            LookFault: There is no answer.
            Refused: The server refuses the key, the plan or the request.
            ClientClosed: The client was closed meanwhile.
            ValueError: The endpoint is unknown, a parameter is missing or misspelled.
        """
        self._check_usable()
        return await self._asker.ask(endpoint, params)

    def webhook_url(self, base: str, *, secret: str | None = None) -> str:
        """
        Make the address for `submit(webhook=...)`, with a part that nobody can guess.

        Args:
            base: The public address of the receiver, such as `"https://me.example/hooks"`. A query
                stays behind the path, to which the part is added.
            secret: What the part is made of; the receiver must be given the same. None for a secret
                of this client's own, which lasts as long as the client.
        """
        token = _token(secret or self._secret)
        self._tokens.add(token)
        path, mark, query = base.partition("?")
        return f"{path.rstrip('/')}/{token}{mark}{query}"

    async def _ordered(self, endpoint: str, params: Mapping[str, Any]) -> Order:
        self._check_usable()
        return await self._asker.order(endpoint, params)

    def _take_hint(self, hint: Hint) -> None:
        self._check_usable()
        tickets = self._submitter.hinted(hint)
        for pair in product(self._looker.families, hint.ids):
            with suppress(ValueError):
                tickets.add(Ticket(*pair))
        for ticket in tickets:
            self.nudge(ticket)

    def _check_request(self, request: GenerationRequest) -> None:
        match request:
            case (str(endpoint), Mapping() as params):
                self._asker.check(endpoint, params)
            case _:
                raise ValueError(
                    "a request is a pair of an endpoint and its parameters, such as "
                    f"('realtime/text2img', {{'prompt': ...}}), got {type(request).__name__}"
                )

    async def _outcome_of(
        self,
        request: GenerationRequest,
        timeout: float | None,
        refused: Sequence[ModelsLabError],
    ) -> Outcome | Unsubmitted:
        if refused:
            return Unsubmitted(cause=refused[0])
        endpoint, params = request
        try:
            order = await self._ordered(endpoint, params)
            if refused:  # While its files were read.
                return Unsubmitted(cause=refused[0])
            end = await self._submitter.submit(order)
        except ModelsLabError as error:
            return Unsubmitted(cause=error)
        # Whatever the hook raised is no end of the request, which has a ticket.
        begun = receipt_of(end)
        if isinstance(begun, Success):
            return begun
        return await self._outcome(begun.ticket, timeout)

    def _places(self) -> Places:
        return Places(self._queue, self._hasten, self._relax)

    def _is_hooked(self, order: Order) -> bool:
        """Whether a webhook of our own is to tell of the end."""
        path = str(order.params.get("webhook")).partition("?")[0]
        return path.rpartition("/")[2] in self._tokens

    def _hasten(self, ticket: Ticket) -> None:
        poller = self._watch(ticket, NOBODY)
        poller.nudge(ticket)

    def _relax(self, ticket: Ticket) -> None:
        if self._poller is not None:
            self._poller.leave(ticket, NOBODY)


async def _told_nobody(_: Submitted) -> None:
    """What is awaited where no `on_submitted` was given."""


def _token(secret: str) -> str:
    """A part of an address, from which nobody learns the secret."""
    return hmac.new(secret.encode(), b"modelslab_async webhook", hashlib.sha256).hexdigest()
