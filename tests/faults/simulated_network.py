"""Simulated network: a way to the emulator, in process, on which things go wrong by chance."""

import asyncio
import random
from collections import Counter
from contextvars import ContextVar

import httpx
from attrs import Factory, define
from faults.simulated_rules import Look

from modelslab_async import Request, Response, TransportError
from modelslab_async.emulator import Emulator, Faults
from modelslab_async.emulator.faults.wrong_replies import WRONG_REPLIES

# What no look may be ended by; refusals have stories of their own.
PASSING = tuple(
    name
    for name in WRONG_REPLIES
    if not name.startswith(("message_", "rate_limit_huge", "redirect_", "nested", "gzip_bomb"))
    and name not in ("status_400", "status_401", "status_402", "status_403", "status_422")
)
# Whose hint says how long is to be waited.
_LIMITS = (
    "rate_limit_seconds",
    "rate_limit_date",
    "rate_limit_reset",
    "rate_limit_body",
    "rate_limit_message",
)
_HINTED = (*_LIMITS, "status_503_retry_after")
# Drawn more often than other answers; an id that is not known yet is among them.
OWN = ("lost", "lost_reply", "hang", "late", "delayed", "stale", "again", "echo", "status_404")

# Which look a request is, where somebody reckons what may be sent.
LOOK: ContextVar[Look | None] = ContextVar("LOOK", default=None)


@define(eq=False)
class Network:
    """
    The client's seam.

    A reply may be lost, come late, or be one that was given before: the first one that a ticket
    ever had (`stale`), or its last one once more (`again`). One that is `delayed` was true when it
    was written, and may be overtaken by what another look is told. After each moment of
    `refusals` the key is refused once. What stands in a `script` goes wrong first, in that order.
    """

    emulator: Emulator
    dice: random.Random
    share: float
    latency: float
    fault_settings: Faults = Factory(Faults)
    down_from: float = 1e18
    down_until: float = 1e18
    refusals: list[float] = Factory(list)
    script: list[str | None] = Factory(list)
    closed: bool = False
    flying: int = 0
    most_flying: int = 0
    committed: Counter[str] = Factory(Counter)
    _given: dict[bytes, list[Response]] = Factory(dict)

    async def exchange(self, request: Request, /) -> Response:
        assert not self.closed, "a request was sent after the client was closed"
        self.flying += 1
        self.most_flying = max(self.flying, self.most_flying)
        try:
            return await self._exchange(request, LOOK.get())
        finally:
            self.flying -= 1

    async def aclose(self) -> None:
        self.closed = True

    async def _exchange(self, request: Request, look: Look | None) -> Response:
        now = asyncio.get_running_loop().time
        fault = self._fault(now())
        await asyncio.sleep(self.latency * self.dice.random())
        if self.down_from <= now() < self.down_until:
            raise TransportError("connection refused", may_have_been_sent=False)
        if fault == "lost":
            raise TransportError("the connection broke", may_have_been_sent=True)
        if fault == "hang":
            await asyncio.sleep(1e6)
        if fault == "late":
            await asyncio.sleep(5.0)
        if fault in WRONG_REPLIES:
            return self._answer(fault, look)
        response = await self._told(request, fault)
        if fault == "echo":
            # It names another id, as if it were meant for somebody else.
            body = response.body.replace(b'"id":', b'"id":9,"was":')
            response = Response(status_code=200, headers=response.headers, body=body)
        await asyncio.sleep(self.latency * self.dice.random())
        if fault == "delayed":
            await asyncio.sleep(self.dice.uniform(0.0, 30.0))
        if fault == "lost_reply":
            raise TransportError("the connection broke", may_have_been_sent=True)
        return response

    def _answer(self, fault: str, look: Look | None) -> Response:
        if look is not None and fault in _HINTED:
            look.hint = self.fault_settings.hint
        elif look is not None and fault == "rate_limit_past":
            look.hint = 0.0
        answer = WRONG_REPLIES[fault][1](self.fault_settings)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        return Response(status_code=answer.status_code, headers=headers, body=answer.body)

    async def _told(self, request: Request, fault: str | None) -> Response:
        """What the emulator says now, or what it has said before."""
        given = self._given.setdefault(request.url.encode() + request.body, [])
        if given and fault in ("stale", "again"):
            return given[0 if fault == "stale" else -1]
        there = await httpx.ASGITransport(app=self.emulator).handle_async_request(
            httpx.Request(
                request.method, request.url, headers=request.headers, content=request.body or None
            )
        )
        given.append(
            Response(
                status_code=there.status_code, headers=there.headers.raw, body=await there.aread()
            )
        )
        return given[-1]

    def _fault(self, now: float) -> str | None:
        fault = None
        if self.script:
            fault = self.script.pop(0)
        elif self.refusals and now >= self.refusals[0]:
            fault = "status_401"
            del self.refusals[0]
        elif self.dice.random() < self.share:
            fault = self.dice.choice((*OWN, *self.dice.sample(PASSING, 3)))
        if fault:
            self.committed[fault] += 1
        return fault
