"""Twins: submits of one payload, which go one at a time once the spam filter has answered."""

import asyncio
from contextvars import Context
from heapq import heappop, heappush

from attrs import Factory, define

from .._models.errors import ModelsLabError

# What the filter asks for where it says nothing else.
_APART = 30.0
# No two clocks run alike.
_MARGIN = 0.1

Turn = asyncio.Future[ModelsLabError | None]


@define(eq=False)
class _Row:
    """
    Those of one payload.

    Attributes:
        free_at: When the next one may go.
        apart: Seconds from the answer to one until the next.
        going: The number of whose turn it is.
        line: Who waits, the lowest number first.
        timer: What wakes the next one.
    """

    free_at: float
    apart: float
    going: int | None = None
    line: list[tuple[int, Turn]] = Factory(list)
    timer: asyncio.TimerHandle | None = None


@define(eq=False)
class Twins:
    """
    Submits whose payloads are the same, of one account.

    As long as the spam filter has not answered, they go like all others. Once it has, those of that
    payload go one at a time: each half a minute after the answer to the one before, since nobody
    knows sooner that the service has seen it. When none waits any more, that is over.
    """

    _rows: dict[str, _Row] = Factory(dict)

    async def turn(self, payload: str, number: int) -> None:
        """
        Wait for one's turn among those of a payload. The lowest number goes first.

        Raises:
            ModelsLabError: Those in line are sent away.
        """
        row = self._rows.get(payload)
        if row is None:
            return
        turn: Turn = asyncio.get_running_loop().create_future()
        heappush(row.line, (number, turn))
        try:
            error = await turn
        except asyncio.CancelledError:
            self.leave(payload, number)
            raise
        if error is not None:
            raise error

    def may_go(self, payload: str, number: int) -> bool:
        """Whether it is its turn, or everybody's."""
        row = self._rows.get(payload)
        return row is None or row.going == number

    def leave(self, payload: str, number: int) -> None:
        """It will not be sent: its turn, if it had it, is the next one's."""
        row = self._rows.get(payload)
        if row is not None and row.going == number:
            row.going = None
            self._arm(payload, row)

    def answered(self, payload: str, number: int) -> None:
        """It was sent, and is over: the service may have seen it until now."""
        row = self._rows.get(payload)
        if row is None:
            return
        row.free_at = asyncio.get_running_loop().time() + row.apart
        if row.going == number:
            row.going = None
        self._arm(payload, row)

    def refused(self, payload: str, seconds: float | None) -> None:
        """The filter has answered, and asks to wait for so long."""
        apart = max(seconds or 0.0, _APART) + _MARGIN
        free_at = asyncio.get_running_loop().time() + apart
        row = self._rows.setdefault(payload, _Row(free_at, apart))
        row.free_at, row.apart = free_at, apart
        self._arm(payload, row)

    def send_away(self, error: ModelsLabError) -> None:
        """Those who are in line now will not be sent, for this reason."""
        for row in self._rows.values():
            line, row.line = row.line, []
            for _, turn in line:
                if not turn.done():
                    turn.set_result(error)

    def close(self) -> None:
        """Nobody waits for a turn any more."""
        rows, self._rows = self._rows, {}
        for row in rows.values():
            if row.timer is not None:
                row.timer.cancel()

    def _arm(self, payload: str, row: _Row) -> None:
        if row.timer is not None:
            row.timer.cancel()
            row.timer = None
        if row.going is None:
            loop = asyncio.get_running_loop()
            row.timer = loop.call_at(row.free_at, self._next, payload, row, context=Context())

    def _next(self, payload: str, row: _Row) -> None:
        """Give the turn to who comes next; where there is nobody, nobody needs one."""
        row.timer = None
        while row.line:
            number, turn = heappop(row.line)
            if not turn.done():
                row.going = number
                turn.set_result(None)
                return
        del self._rows[payload]
