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

from ._aio.bounded_map import BoundedMap
from ._models.errors import AuthenticationError, ModelsLabError, PaymentRequired
from ._models.events import Event, Submitted
from ._models.outcomes import Outcome, Unsubmitted
from ._models.replies import Processing, Success
from ._models.ticket import Ticket
from ._models.validation import (
    check_callback,
    check_count,
    check_mapping,
    check_nonnegative_seconds,
    check_positive_seconds,
    check_rate,
    check_type,
)
from ._parsing.webhook_payload import WebhookHint
from ._polling.listeners import Listeners
from ._polling.status_client import StatusClient, with_base_urls
from ._polling.waits import Waits
from ._polling.watchers import NULL_WATCHER
from ._registry.endpoint import Endpoint
from ._registry.endpoints import ENDPOINTS
from ._registry.families import FAMILIES
from ._registry.family import Family
from ._scheduling.adaptive.adaptive_pace import AdaptivePace
from ._scheduling.pace import Pace
from ._submitting.endpoint_service import EndpointService
from ._submitting.slots import Slots
from ._submitting.submit_log import reply_or_raise
from ._submitting.submit_request import SubmitRequest
from ._submitting.submitter import Submitter
from ._submitting.uploader import original_error
from ._transport.base import Transport
from ._transport.credentials import Credentials
from ._transport.sender import Sender, as_transport

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
        pace: The rule that says when to look: a `Pace`, or one that learns, `Pace.adaptive()`.
        rate: The most looks a second over all tickets of a key that this client waits for; None for
            no such bound. When more is due than may be looked at, families take turns, and in each
            the most overdue ticket goes first. `fetch` looks at once and does not count.
        workers: How many looks may be on their way at once.
        timeout: The most seconds that one look may take.
        slots: How many generations a key may have queued at once: 5, 10 or 15, as the plan says;
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
        http: Transport | httpx.AsyncBaseTransport | httpx.AsyncClient | None = None,
        pace: Pace | AdaptivePace = Pace(),
        rate: float | None = None,
        workers: int = 32,
        timeout: float = 30.0,
        slots: int | None = 5,
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
            check_type(name, text, str | None, "a text or None")
        check_mapping("families", families, Family)
        check_mapping("endpoints", endpoints, Endpoint)
        check_type(
            "pace", pace, Pace | AdaptivePace, "a Pace, such as Pace.fixed(3) or Pace.adaptive()"
        )
        check_count("workers", workers)
        check_positive_seconds("timeout", timeout)
        check_count("slots", slots, unit="slots", optional=True)
        check_positive_seconds("submit_timeout", submit_timeout)
        check_rate("rate", rate, unit="polls")
        check_callback("on_submitted", on_submitted, allow_async=True)
        check_callback("on_event", on_event, allow_async=False)
        sender = Sender(
            as_transport(http, workers),
            Credentials.resolve(api_key, enterprise_key),
            timeout=timeout,
        )
        rooted_families = with_base_urls(
            families, base_url=base_url, legacy_base_url=legacy_base_url
        )
        rooted_endpoints = with_base_urls(
            endpoints, base_url=base_url, legacy_base_url=legacy_base_url
        )
        self._slot_limit = slots
        self._webhook_secret = secrets.token_hex(32)
        self._webhook_tokens: set[str] = set()
        self._endpoint_service = EndpointService(rooted_endpoints, rooted_families, sender)
        self._submitter = Submitter(
            self._endpoint_service,
            rooted_families,
            sender,
            new_slots=self._new_slots,
            pace=pace.limits,
            timeout=submit_timeout,
            on_submitted=on_submitted or _ignore_submitted,
            expects_webhook=self._expects_webhook,
        )
        super().__init__(
            StatusClient(rooted_families, sender),
            pace=pace,
            rate=rate,
            workers=workers,
            listeners=Listeners(on_event),
            initial_state_of=self._submitter.initial_state_of,
            on_completed=self._submitter.on_completed,
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
            TransientError: A file was not taken by the service, again and again. Nothing was started.
            ClientClosed: The client was closed before it was sent. Nothing was started.
            ValueError: The endpoint is unknown, a parameter is missing or misspelled, or a file
                stands where none is taken. Nothing was sent.

        Example:
            ```python
            begun = await client.submit("realtime/text2img", prompt="a lighthouse")
            print(begun.ticket)
            ```
        """
        return reply_or_raise(await self._submitter.submit(await self._prepare(endpoint, params)))

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
        check_nonnegative_seconds("timeout", timeout, optional=True)
        reply = await self.submit(endpoint, **params)
        if isinstance(reply, Success):
            return reply
        return await self.wait(reply.ticket, timeout=timeout)

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
        check_nonnegative_seconds("timeout", timeout, optional=True)
        check_count("window", window)
        refusals: list[ModelsLabError] = []

        async def generate_one(request: GenerationRequest) -> Outcome | Unsubmitted:
            outcome = await self._generate_outcome(request, timeout, refusals)
            match outcome:
                case Unsubmitted(cause=AuthenticationError() | PaymentRequired() as error):
                    refusals.append(original_error(error))
            return outcome

        bounded = BoundedMap(generate_one, window)
        async with aclosing(bounded.run(requests, self._check_request)) as finished:
            async for request, outcome in finished:
                yield request, outcome

    async def ask(self, endpoint: str, /, **params: Any) -> dict[str, Any]:
        """
        Ask what is answered at once, such as the balance of the account; give the body that came.

        Raises:
            TransientError: There is no answer.
            Refused: The server refuses the key, the plan or the request.
            ClientClosed: The client was closed meanwhile.
            ValueError: The endpoint is unknown, a parameter is missing or misspelled.
        """
        self._check_usable()
        return await self._endpoint_service.ask(endpoint, params)

    def webhook_url(self, base: str, *, secret: str | None = None) -> str:
        """
        Make the address for `submit(webhook=...)`, with a part that nobody can guess.

        Args:
            base: The public address of the receiver, such as `"https://me.example/hooks"`. A query
                stays behind the path, to which the part is added.
            secret: What the part is made of; the receiver must be given the same. None for a secret
                of this client's own, which lasts as long as the client.
        """
        token = _webhook_token(secret or self._webhook_secret)
        self._webhook_tokens.add(token)
        path, separator, query = base.partition("?")
        return f"{path.rstrip('/')}/{token}{separator}{query}"

    async def _prepare(self, endpoint: str, params: Mapping[str, Any]) -> SubmitRequest:
        self._check_usable()
        return await self._endpoint_service.prepare(endpoint, params)

    def _handle_hint(self, hint: WebhookHint) -> None:
        self._check_usable()
        tickets = self._submitter.tickets_for(hint)
        for pair in product(self._status_client.families, hint.ids):
            with suppress(ValueError):
                tickets.add(Ticket(*pair))
        for ticket in tickets:
            self.nudge(ticket)

    def _check_request(self, request: GenerationRequest) -> None:
        match request:
            case (str(endpoint), Mapping() as params):
                self._endpoint_service.check(endpoint, params)
            case _:
                raise ValueError(
                    "a request is a pair of an endpoint and its parameters, such as "
                    f"('realtime/text2img', {{'prompt': ...}}), got {type(request).__name__}"
                )

    async def _generate_outcome(
        self,
        request: GenerationRequest,
        timeout: float | None,
        refusals: Sequence[ModelsLabError],
    ) -> Outcome | Unsubmitted:
        if refusals:
            return Unsubmitted(cause=refusals[0])
        endpoint, params = request
        try:
            submit_request = await self._prepare(endpoint, params)
            if refusals:  # While its files were read.
                return Unsubmitted(cause=refusals[0])
            result = await self._submitter.submit(submit_request)
        except ModelsLabError as error:
            return Unsubmitted(cause=error)
        # Whatever the hook raised is no end of the request, which has a ticket.
        reply = reply_or_raise(result)
        if isinstance(reply, Success):
            return reply
        return await self._outcome(reply.ticket, timeout)

    def _new_slots(self) -> Slots:
        return Slots(self._slot_limit, self._poll_now, self._stop_polling)

    def _expects_webhook(self, submit_request: SubmitRequest) -> bool:
        """Whether a webhook of our own is to tell of the end."""
        path = str(submit_request.params.get("webhook")).partition("?")[0]
        return path.rpartition("/")[2] in self._webhook_tokens

    def _poll_now(self, ticket: Ticket) -> None:
        poller = self._watch(ticket, NULL_WATCHER)
        poller.nudge(ticket)

    def _stop_polling(self, ticket: Ticket) -> None:
        self._poller.unwatch(ticket, NULL_WATCHER)


async def _ignore_submitted(_: Submitted) -> None:
    """What is awaited where no `on_submitted` was given."""


def _webhook_token(secret: str) -> str:
    """A part of an address, from which nobody learns the secret."""
    return hmac.new(secret.encode(), b"modelslab_async webhook", hashlib.sha256).hexdigest()
