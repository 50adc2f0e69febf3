"""What a client reports to a shared account, and what it may use in return. Nothing is stored."""

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

from attrs import frozen

from .._models.ticket import Ticket

# A poll time must be used within this many seconds, or it is lost. Otherwise clients that are late
# could use many past times at once, and together exceed the rate.
MAX_LATENESS_S: Final = 0.02


@frozen
class HeldTicket:
    """
    A ticket that holds a slot.

    Attributes:
        ticket: The ticket.
        endpoint: The name of the endpoint that made it.
        submitted_at: When the reply to its submit came, on the account's clock.
    """

    ticket: Ticket
    endpoint: str
    submitted_at: float


@frozen(kw_only=True)
class SlotUse:
    """
    The slots of one key that a client uses.

    Attributes:
        tickets: The tickets that hold slots.
        in_flight: The number of submits that were admitted and have no result yet.
        uncertain_until: When each submit that may have started work gives back its slot, on the
            account's clock.
        waiting: The number of submits that wait for a slot.
    """

    tickets: tuple[HeldTicket, ...] = ()
    in_flight: int = 0
    uncertain_until: tuple[float, ...] = ()
    waiting: int = 0

    @property
    def total(self) -> int:
        """The number of slots in use."""
        return len(self.tickets) + self.in_flight + len(self.uncertain_until)


@frozen(kw_only=True)
class Pauses:
    """
    The ends of the pauses that the server asked for with one key, on the account's clock.

    Attributes:
        submits: The end of the pause of submits; 0 for none.
        polls: The end of the pause of polls; 0 for none.
    """

    submits: float = 0.0
    polls: float = 0.0

    def merge(self, other: "Pauses") -> "Pauses":
        """Return the later end of each pause."""
        return Pauses(submits=max(self.submits, other.submits), polls=max(self.polls, other.polls))


@frozen(kw_only=True)
class KeyReport:
    """
    What a client uses and wants of one key.

    Attributes:
        slots: The slots that it uses.
        polls_wanted: The number of poll times that it wants.
        pauses: The pauses that the server asked this client for.
    """

    slots: SlotUse = SlotUse()
    polls_wanted: int = 0
    pauses: Pauses = Pauses()


@frozen(kw_only=True)
class KeyAllotment:
    """
    What a client may use of one key.

    Attributes:
        slot_limit: The most slots that the client may use until its next report.
        has_other_waiters: Whether submits of other clients wait for a slot.
        adopted: Tickets of clients that have died. They now hold slots of this client.
        poll_times: When the client may start a poll, on the account's clock; None if the account
            does not limit polls.
        pauses: The pauses that the server asked any client for.
    """

    slot_limit: int | None = None
    has_other_waiters: bool = False
    adopted: tuple[HeldTicket, ...] = ()
    poll_times: tuple[float, ...] | None = ()
    pauses: Pauses = Pauses()


Reports: TypeAlias = Mapping[str, KeyReport]
"""The reports of one client, by the digest of the key."""

Allotments: TypeAlias = Mapping[str, KeyAllotment]
"""What one client may use, by the digest of the key."""


class Membership(Protocol):
    """One client as a member of an account. It reports to the account and gets allotments."""

    def clock(self) -> float:
        """Return the time on the account's clock."""
        ...

    async def exchange(self, reports: Reports, /) -> Allotments:
        """Record what the client uses, and return what it may use from now on."""
        ...

    async def leave(self, reports: Reports, /) -> None:
        """Record what the client still holds for others to adopt, and close the membership."""
        ...
