"""GrantedSlots: the slots that a shared account grants to a client for one API key."""

import asyncio
from collections.abc import Callable

from attrs import define

from .._submitting.slots import Slots
from .report_and_answer_types import HeldTicket, KeyAllotment, SlotUse


@define(eq=False, kw_only=True)
class GrantedSlots(Slots):
    """
    The slots that a shared account grants to this client for one API key.

    A freed slot goes back to the account, even while submits of this client wait. The account then
    grants the slot to the next client in turn.

    Args:
        on_change: Called when the used slots or the waiting submits change, so that the client
            reports to the account.
    """

    limit: int | None = 0
    on_change: Callable[[], object]

    def use(self, account_offset: float) -> SlotUse:
        """
        Return which slots this client uses, and how many submits wait for a slot.

        Args:
            account_offset: The account's clock minus the clock of the event loop.
        """
        return SlotUse(
            tickets=tuple(
                HeldTicket(ticket, record.endpoint, record.submitted_at + account_offset)
                for ticket, record in self._holders.items()
            ),
            in_flight=self._in_flight,
            uncertain_until=tuple(when + account_offset for when in self._uncertain.expiries()),
            waiting=self.count_admissible(),
        )

    def apply(self, allotment: KeyAllotment, account_offset: float) -> None:
        """
        Apply the account's answer.

        Take over tickets whose clients have died or left. Then let submits start, up to the new
        limit.
        """
        for held in allotment.adopted:
            self.hold(
                held.ticket,
                endpoint=held.endpoint,
                submitted_at=held.submitted_at - account_offset,
            )
        self.limit = allotment.slot_limit
        self.has_other_waiters = allotment.has_other_waiters
        self._admit()

    def end_polls_for_others(self) -> None:
        """Stop polls for submits of other clients, because the account gives no more answers."""
        self.has_other_waiters = False
        self._admit()

    def pause(self, until: float) -> None:
        """Let no submit start before `until`, a time on the event loop's clock."""
        self._paused_until = max(self._paused_until, until)

    @property
    def paused_until(self) -> float:
        """The time at which the latest pause of submits ends, on the event loop's clock."""
        return self._paused_until

    def count_admissible(self) -> int:
        """Count the submits that could start now if they had slots."""
        now = asyncio.get_running_loop().time()
        if now < self._paused_until or self._is_probing(now):
            return 0
        if now < self._full_until and self.used >= self._full_limit:
            return 0
        return len(self._waiting) if self._is_key_accepted else min(1, len(self._waiting))

    def _admit_waiting(self) -> None:
        # Free the slots of tickets that are too old. Then return all free slots to the account.
        self._evict_stale(asyncio.get_running_loop().time())
        if self.limit is not None:
            self.limit = min(self.limit, self.used)
        self._admit()
        self.on_change()
