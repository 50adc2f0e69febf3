"""A transport to an emulator in process, with random faults on virtual time."""

import asyncio
import random
from collections import Counter
from contextvars import ContextVar

import httpx
from attrs import Factory, define
from faults.simulated_state import ObservedPoll

from modelslab_async import Request, Response, TransportError
from modelslab_async.emulator import Emulator, Faults
from modelslab_async.emulator.faults.wrong_replies import WRONG_REPLIES

# Replies that never end a ticket. Refusals of the key are drawn separately.
TRANSIENT_REPLIES = tuple(
    name
    for name in WRONG_REPLIES
    if not name.startswith(("message_", "rate_limit_huge", "redirect_", "nested", "gzip_bomb"))
    and name not in ("status_400", "status_401", "status_402", "status_403", "status_422")
)
# Replies with a hint that says how long to wait.
_HINTED_RATE_LIMITS = (
    "rate_limit_seconds",
    "rate_limit_date",
    "rate_limit_reset",
    "rate_limit_body",
    "rate_limit_message",
)
_HINTED_REPLIES = (*_HINTED_RATE_LIMITS, "status_503_retry_after")
# Faults of this network. They are drawn more often than wrong replies. `status_404` is an id that
# the service does not know yet.
NETWORK_FAULTS = (
    "lost",
    "lost_reply",
    "hang",
    "late",
    "delayed",
    "stale",
    "again",
    "echo",
    "status_404",
)

# The poll that a request belongs to, if rules observe the polls.
CURRENT_POLL: ContextVar[ObservedPoll | None] = ContextVar("CURRENT_POLL", default=None)


@define(eq=False)
class Network:
    """
    A transport for the client.

    A reply may be lost or late, or repeat an earlier one: the ticket's first reply (`stale`) or its
    last one (`again`). A `delayed` reply was true when it was made, and a later poll may overtake
    it. After each time in `refusals`, the key is refused once. Faults in `script` come first, in
    order.
    """

    emulator: Emulator
    rng: random.Random
    share: float
    latency: float
    fault_settings: Faults = Factory(Faults)
    down_from: float = 1e18
    down_until: float = 1e18
    refusals: list[float] = Factory(list)
    script: list[str | None] = Factory(list)
    is_closed: bool = False
    in_flight: int = 0
    max_in_flight: int = 0
    committed: Counter[str] = Factory(Counter)
    _earlier_replies: dict[bytes, list[Response]] = Factory(dict)

    async def exchange(self, request: Request, /) -> Response:
        assert not self.is_closed, "a request was sent after the client was closed"
        self.in_flight += 1
        self.max_in_flight = max(self.in_flight, self.max_in_flight)
        try:
            return await self._exchange(request, CURRENT_POLL.get())
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        self.is_closed = True

    async def _exchange(self, request: Request, poll: ObservedPoll | None) -> Response:
        now = asyncio.get_running_loop().time
        fault = self._fault(now())
        await asyncio.sleep(self.latency * self.rng.random())
        if self.down_from <= now() < self.down_until:
            raise TransportError("connection refused", may_have_been_sent=False)
        if fault == "lost":
            raise TransportError("the connection broke", may_have_been_sent=True)
        if fault == "hang":
            await asyncio.sleep(1e6)
        if fault == "late":
            await asyncio.sleep(5.0)
        if fault in WRONG_REPLIES:
            return self._wrong_reply(fault, poll)
        response = await self._reply(request, fault)
        if fault == "echo":
            # The reply names another id, as replies of the service sometimes do.
            body = response.body.replace(b'"id":', b'"id":9,"was":')
            response = Response(status_code=200, headers=response.headers, body=body)
        await asyncio.sleep(self.latency * self.rng.random())
        if fault == "delayed":
            await asyncio.sleep(self.rng.uniform(0.0, 30.0))
        if fault == "lost_reply":
            raise TransportError("the connection broke", may_have_been_sent=True)
        return response

    def _wrong_reply(self, fault: str, poll: ObservedPoll | None) -> Response:
        if poll is not None and fault in _HINTED_REPLIES:
            poll.hint = self.fault_settings.hint
        elif poll is not None and fault == "rate_limit_past":
            poll.hint = 0.0
        _, make_reply = WRONG_REPLIES[fault]
        wrong = make_reply(self.fault_settings)
        headers = [(name.encode(), value.encode()) for name, value in wrong.headers]
        return Response(status_code=wrong.status_code, headers=headers, body=wrong.body)

    async def _reply(self, request: Request, fault: str | None) -> Response:
        """Return the emulator's reply, or an earlier one."""
        earlier_replies = self._earlier_replies.setdefault(request.url.encode() + request.body, [])
        if earlier_replies and fault in ("stale", "again"):
            return earlier_replies[0 if fault == "stale" else -1]
        response = await httpx.ASGITransport(app=self.emulator).handle_async_request(
            httpx.Request(
                request.method, request.url, headers=request.headers, content=request.body or None
            )
        )
        earlier_replies.append(
            Response(
                status_code=response.status_code,
                headers=response.headers.raw,
                body=await response.aread(),
            )
        )
        return earlier_replies[-1]

    def _fault(self, now: float) -> str | None:
        fault = None
        if self.script:
            fault = self.script.pop(0)
        elif self.refusals and now >= self.refusals[0]:
            fault = "status_401"
            del self.refusals[0]
        elif self.rng.random() < self.share:
            fault = self.rng.choice((*NETWORK_FAULTS, *self.rng.sample(TRANSIENT_REPLIES, 3)))
        if fault:
            self.committed[fault] += 1
        return fault
