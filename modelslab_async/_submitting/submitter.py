"""Submitter: starts work, once. It repeats only what provably never left, or was refused."""

import asyncio
import itertools
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from .._aio.cooperation import is_cancelled
from .._models.errors import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    GenerationFailed,
    LookFault,
    ModelsLabError,
    PaymentRequired,
    RateLimited,
    ServerError,
    SubmitUncertain,
    TransportError,
)
from .._models.events import Submitted
from .._models.replies import Processing, Success
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.submit_reply import read_receipt
from .._parsing.webhook_payload import Hint
from .._registry.family import Family
from .._scheduling.policy import Limits
from .._scheduling.start import Start
from .._transport.sender import Sender
from .endpoint_service import CLOSED, Asker
from .slots import Places
from .submit_log import Ledger, Raised, Receipt
from .submit_request import Order
from .uploader import UPLOAD, Uploader, as_it_came

_logger = logging.getLogger("modelslab_async")

# What the service asks for where it says nothing else.
_PATIENCE = 30.0

# What came of one submit: a server's word, ours, or an exception that is none of both.
_End: TypeAlias = Receipt | ModelsLabError | Raised

# So many ids of deliveries that came before the reply to their submit are remembered: no more than
# a number of each, since whoever knows the address may post what is large.
_EARLY = 1024

_UNKNOWN = Start()
_NO_LEDGER = Ledger()


class Submitter:
    """
    Starts work with the places that the account has, and remembers what it started.

    A submit runs in a task of its own, so that whoever stops waiting for it loses no ticket.
    """

    def __init__(
        self,
        asker: Asker,
        families: Mapping[str, Family],
        sender: Sender,
        *,
        places: Callable[[], Places],
        pace: Limits,
        timeout: float,
        on_submitted: Callable[[Submitted], Awaitable[object]],
        is_hooked: Callable[[Order], bool] = lambda _: False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._asker = asker
        self._families = families
        self._sender = sender
        self._new_places = places
        self._pace = pace
        self._timeout = timeout
        self._on_submitted = on_submitted
        self._is_hooked = is_hooked
        self._chance = chance
        self._places: dict[Tier, Places] = {}
        self._numbers = itertools.count()
        self._starting: set[asyncio.Task[_End]] = set()
        self._early: deque[int] = deque(maxlen=_EARLY)
        self._uploader = Uploader(partial(asker.ask, UPLOAD, timeout=timeout))

    async def submit(self, order: Order, ledger: Ledger = _NO_LEDGER) -> Receipt | Raised:
        """
        Start one piece of work, as soon as there is a place for it.

        Args:
            order: What is to be started.
            ledger: Where it is written down.

        Returns:
            What tells that it was started, or what the ledger or the hook raised.

        Raises:
            SubmitUncertain: It may or may not have been started.
            Refused: It was refused; nothing was started.
            GenerationFailed: It failed at once.
            RateLimited: It was refused for its rate again and again; nothing was started.
            TransportError: It never left this machine, again and again.
            ClientClosed: The client was closed; nothing was started.
        """
        self._asker.check_open()
        places = self._places_of(self._sender.key_of(order.endpoint.tier))
        number = next(self._numbers)
        links: dict[str, str] = {}
        for setbacks in itertools.count(1):
            await self._admitted(order, number, places)
            end = await self._attempt(order, number, links, places, ledger)
            if not isinstance(end, ModelsLabError):
                return end
            if setbacks >= self._pace.faults or not _is_passing(end):
                raise end
            if not isinstance(end, RateLimited):
                pause = self._pace.backoff(setbacks, self._chance())
                await self._asker.rest(max(pause, end.retry_after or 0.0))
        raise AssertionError("unreachable")

    async def _attempt(
        self, order: Order, number: int, links: dict[str, str], places: Places, ledger: Ledger
    ) -> _End:
        """Within a place, send the files of an order, and then itself."""
        try:
            # It may have been closed since the place was given.
            self._asker.check_open()
            linked = await self._uploader.linked(order, links)
            self._asker.check_open()
        except ModelsLabError as error:
            match error:
                case RateLimited():
                    self._slow_down(order, places, error)
                case AuthenticationError() | PaymentRequired() if self._asker.uploads_as(order):
                    places.send_away(as_it_came(error))
            self._not_sent(order, number, places)
            return error
        except BaseException:
            self._not_sent(order, number, places)
            raise
        return await self._run(linked, number, places, ledger)

    def _not_sent(self, order: Order, number: int, places: Places) -> None:
        places.give_back()
        places.twins.leave(order.payload_hash, number)

    def settled(self, ticket: Ticket) -> None:
        """A ticket has ended, or is given up."""
        for places in self._places.values():
            places.settled(ticket)

    def start_of(self, ticket: Ticket) -> Start:
        """What is known of a ticket that may have been started here."""
        found = (places.start_of(ticket) for places in self._places.values())
        return next(filter(None, found), None) or _UNKNOWN

    def hinted(self, hint: Hint) -> set[Ticket]:
        """The open tickets that a webhook speaks of by the mark of their request."""
        found = {places.marked(hint.track_id) for places in self._places.values()} - {None}
        if not found:
            # It may come before the reply to its submit, whose ticket is then due at once.
            self._early.extend(map(hash, filter(None, (hint.track_id, *hint.ids))))
        return {ticket for ticket in found if ticket is not None}

    async def aclose(self) -> None:
        """Send away those in line, and wait for what is on its way: it may be paid for."""
        self._asker.close()
        for places in self._places.values():
            places.close(ClientClosed(CLOSED))
        while self._starting:
            await asyncio.wait(self._starting)

    def _places_of(self, tier: Tier) -> Places:
        if tier not in self._places:
            self._places[tier] = self._new_places()
        return self._places[tier]

    async def _admitted(self, order: Order, number: int, places: Places) -> None:
        """Wait for a place, and first for the turn of a payload that the server saw too often."""
        while True:
            await places.twins.turn(order.payload_hash, number)
            try:
                await places.take(number)
            except BaseException:
                places.twins.leave(order.payload_hash, number)
                raise
            if places.twins.may_go(order.payload_hash, number):
                return
            places.give_back()

    async def _run(self, order: Order, number: int, places: Places, ledger: Ledger) -> _End:
        starting = asyncio.create_task(
            self._start(order, number, places, ledger), name="modelslab_async submit"
        )
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        starting.add_done_callback(lambda _: places.twins.leave(order.payload_hash, number))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_mourn)
            raise

    async def _start(self, order: Order, number: int, places: Places, ledger: Ledger) -> _End:
        """Send it, once, and give the place to what came of it."""
        try:
            await ledger.begin(order)
        except BaseException as error:
            places.give_back()
            if isinstance(error, Exception):
                return Raised(error)
            raise
        try:
            end = await self._send(order)
        except BaseException:
            places.doubt(order.endpoint.name)
            _logger.warning("cut off while on its way: %s", _uncertain(order, "it was cut off"))
            raise
        places.twins.answered(order.payload_hash, number)
        match end:
            case Processing():
                places.keep(
                    end.ticket,
                    endpoint=order.endpoint.name,
                    eta=end.eta,
                    mark=order.track_id,
                    calm=self._is_hooked(order),
                    hinted=not {hash(order.track_id), hash(end.ticket.id)}.isdisjoint(self._early),
                )
            case RateLimited():
                self._slow_down(order, places, end)
                places.give_back()
            case AuthenticationError() | PaymentRequired():
                places.send_away(end)
                places.give_back()
            case SubmitUncertain():
                places.doubt(order.endpoint.name)
            case _:
                places.give_back(welcome=isinstance(end, (Success, GenerationFailed)))
        return await self._tell(order, end, ledger)

    async def _tell(self, order: Order, end: Receipt | ModelsLabError, ledger: Ledger) -> _End:
        """Write down what came of it, then tell; what started work is told whatever happens."""
        if isinstance(end, ModelsLabError):
            await ledger.end(order, end)
            return end
        try:
            await ledger.end(order, end)
            await self._on_submitted(_news(order, end))
        except BaseException as error:
            note = f"it was raised after the work was started as {end.ticket}"
            with suppress(Exception):
                # Not every exception takes a note.
                error.add_note(note)
            if isinstance(error, (KeyboardInterrupt, SystemExit)) or is_cancelled():
                _logger.warning("%s: %s", type(error).__name__, note)
                raise
            return Raised(error, end.ticket)
        return end

    async def _send(self, order: Order) -> Receipt | ModelsLabError:
        family = self._families[order.endpoint.resolved_by or ""]
        try:
            response = await self._sender.send(
                order.endpoint.start(order.params), timeout=self._timeout
            )
            return read_receipt(
                family,
                order.params,
                status_code=response.status_code,
                headers=response.headers,
                body=response.body,
                families=self._families,
                unnamed=secrets.token_hex(8),
                received_at=time.time(),
            )
        except ModelsLabError as error:
            if not _is_doubtful(error):
                return error
            doubt = error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            doubt = TransportError("the exchange was cancelled from within")
        except Exception as error:  # noqa: BLE001 -- whatever a transport raises, it may have sent.
            # Only its name: what is not ours may hold the key.
            doubt = TransportError(f"the transport broke: {type(error).__name__}")
        uncertain = _uncertain(order, doubt.message)
        uncertain.__cause__ = doubt
        return uncertain

    def _slow_down(self, order: Order, places: Places, error: RateLimited) -> None:
        words = error.server_message.casefold()
        if "spam filter" in words:
            places.twins.refused(order.payload_hash, error.retry_after)
        elif "queued" in words:
            places.full(error.retry_after or _PATIENCE)
        else:
            places.pause(error.retry_after or _PATIENCE)


def _news(order: Order, reply: Receipt) -> Submitted:
    return Submitted(
        ticket=reply.ticket,
        endpoint=order.endpoint.name,
        track_id=order.track_id,
        payload_hash=order.payload_hash,
        reply=reply,
    )


def _is_passing(error: ModelsLabError) -> bool:
    """Whether what started nothing may go well a little later. A doubt is none of these."""
    match error:
        case TransportError():
            return not error.may_have_left
        case _:
            # A server in trouble, when a file was sent to it; else that is a doubt.
            return isinstance(error, (RateLimited, ServerError))


def _is_doubtful(error: ModelsLabError) -> bool:
    """Whether a submit that ended so may have started work all the same."""
    match error:
        case TransportError() | ConnectionImpossible():
            return error.may_have_left
        case RateLimited():
            return False
        case _:
            return isinstance(error, LookFault)


def _uncertain(order: Order, why: str) -> SubmitUncertain:
    mark = f"track_id {order.track_id}" if order.track_id else "no track_id"
    where = "or in a webhook with that track_id" if order.track_id else "by its time"
    return SubmitUncertain(
        f"{order.endpoint.name} ({mark}): {why}; the work may or may not have been started; look "
        f"for it in what the service shows of your account {where} before you submit, and pay, "
        "again",
        endpoint=order.endpoint.name,
        track_id=order.track_id,
        payload_hash=order.payload_hash,
    )


def _mourn(starting: "asyncio.Task[_End]") -> None:
    """Say what became of a submit whose caller has gone."""
    if starting.cancelled():
        return
    end = starting.exception() or starting.result()
    match end:
        case Processing() | Success():
            _logger.warning("started, though nobody waits for it any more: %s", end.ticket)
        case SubmitUncertain():
            _logger.warning("nobody waits for it any more: %s", end)
        case Raised(error, Ticket() as ticket):
            # Only its name: what is not ours may hold the key.
            name = type(error).__name__
            _logger.warning("started, though nobody hears of the %s: %s", name, ticket)
