"""Submits: what a batch starts, written into its journal before it is sent and after."""

import asyncio
import logging

from .._models.errors import GenerationFailed, JournalError, ModelsLabError, SubmitUncertain
from .._models.replies import Failed, Processing, Success
from .._submitting.submit_log import Ledger, Receipt
from .._submitting.submit_request import Order
from ..journal import Intent, Journal
from .run import beat_of

_logger = logging.getLogger("modelslab_async")


class Submits(Ledger):
    """
    The submits of one process to one journal.

    They have a run of their own, whose lease says that this process lives and will hear the
    answers: until it is over, nobody else calls them doubtful.
    """

    def __init__(self, journal: Journal, *, lease: float) -> None:
        self._journal = journal
        self._lease = lease
        self._run: int | None = None
        self._beginning = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[object]] = set()

    async def begin(self, order: Order) -> None:
        """
        Write down an order that is about to be sent.

        Raises:
            JournalError: The journal cannot be written; nothing is sent.
            ValueError: Another submit has the same track_id; nothing is sent.
        """
        if (task := asyncio.current_task()) is not None:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        await self._journal.intend(
            order.name,
            endpoint=order.endpoint.name,
            payload_hash=order.payload_hash,
            run=await self._leased(),
        )

    async def end(self, order: Order, end: Receipt | ModelsLabError) -> None:
        """Write down the ticket, or forget what started nothing. What is doubtful stays."""
        match end:
            case Processing():
                await self._journal.confirm(order.name, end.ticket)
            case Success():
                await self._journal.confirm(order.name, end.ticket, done=end)
            case SubmitUncertain():
                pass
            case _:
                await self._withdraw(order)

    async def answer(self, order: Order) -> Receipt | None:
        """
        What became of an order that was sent before; None if it never was.

        Raises:
            SubmitUncertain: Nobody knows.
            GenerationFailed: It failed.
            ValueError: Something else was sent with its track_id.
        """
        intent = await self._journal.intent(order.name)
        if intent is None:
            return None
        if (intent.endpoint, intent.payload_hash) != (order.endpoint.name, order.payload_hash):
            raise ValueError(
                f"track_id {order.name!r} is in this journal for another submit to "
                f"{intent.endpoint}; each submit has its own"
            )
        if intent.ticket is None:
            raise _uncertain(intent)
        match await self._journal.last(intent.ticket):
            case Processing() | Success() as reply:
                return reply
            case Failed() as failed:
                raise GenerationFailed.of(failed)
            case _:
                return Processing(ticket=intent.ticket)

    async def close(self) -> None:
        """Wait for what is on its way, whose end is to be written down, and end the run."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        if self._run is not None:
            try:
                await self._journal.end(self._run)
            except JournalError as error:
                _logger.warning("a run stays open for up to %g s: %s", self._lease, error)

    async def _withdraw(self, order: Order) -> None:
        try:
            await self._journal.withdraw(order.name)
        except JournalError as error:
            _logger.warning(
                "submit %s started nothing, and stays among the doubtful: %s", order.name, error
            )

    async def _leased(self) -> int:
        async with self._beginning:
            if self._run is None:
                self._run = await self._journal.begin(lease=self._lease)
                self._beating = asyncio.create_task(
                    self._beat(self._run), name="modelslab_async submits"
                )
            return self._run

    async def _beat(self, run: int) -> None:
        """Renew the lease; once another process has ended it, the next submit begins a new run."""
        while True:
            await asyncio.sleep(beat_of(self._lease))
            try:
                if not await self._journal.renew(run, lease=self._lease):
                    self._run = None
                    return
            except JournalError as error:
                _logger.warning("the lease could not be renewed, trying again: %s", error)


def _uncertain(intent: Intent) -> SubmitUncertain:
    return SubmitUncertain(
        f"{intent.endpoint} (track_id {intent.track_id}) was sent before, and nobody knows whether "
        "it started work: look for it in what the service shows of your account or in a webhook "
        "with that track_id, then tell the journal by `confirm` or `withdraw`",
        endpoint=intent.endpoint,
        track_id=intent.track_id,
        payload_hash=intent.payload_hash,
    )
