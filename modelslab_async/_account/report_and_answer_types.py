"""The data classes for a client's reports to a shared account, and for the account's answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from attrs import frozen

from .._models.ticket import Ticket
from .._parsing.webhook_ids import WebhookHint

# Seconds between two reports of a client that waits for a slot, if the account does not announce
# free slots.
ASKING_INTERVAL_S: Final = 0.02
# If a client has sent no report for this many seconds, the other clients check whether its process
# still runs. They do not check at each report, because a check reads three files. With 32 busy
# clients, such checks would take half a CPU core.
LIVENESS_CHECK_S: Final = 0.5


@frozen
class HeldTicket:
    """
    A ticket that holds a slot.

    Attributes:
        ticket: The ticket.
        endpoint: The name of the endpoint to which the submit was sent.
        submitted_at: The time at which the client received the reply to the submit, on the
            account's clock.
    """

    ticket: Ticket
    endpoint: str
    submitted_at: float


@frozen(kw_only=True)
class SlotUse:
    """
    How a client uses the slots of one API key.

    Attributes:
        tickets: The tickets that hold slots.
        in_flight: The number of submits that have a slot, but no result yet.
        uncertain_until: The times at which the slots of uncertain submits are freed, on the
            account's clock. An uncertain submit may or may not have started work.
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
    The times until which submits and polls with one API key are paused, on the account's clock.

    Attributes:
        submits: The time at which submits may start again; 0 for no pause.
        polls: The time at which polls may start again; 0 for no pause.
    """

    submits: float = 0.0
    polls: float = 0.0

    def merge(self, other: "Pauses") -> "Pauses":
        """Combine two `Pauses`: the later end for submits, and the later end for polls."""
        return Pauses(submits=max(self.submits, other.submits), polls=max(self.polls, other.polls))


@frozen
class PollResult:
    """
    What became of a granted poll time. A later result for the same time replaces an earlier result.

    Attributes:
        granted: The granted time, on the account's clock.
        rests_from: The time at which the poll counts towards the rate, on the account's clock. It
            is the start of the poll, or later if the network may have delayed the poll. None if no
            poll used the granted time.
        is_open: Whether the poll is still in flight.
    """

    granted: float
    rests_from: float | None
    is_open: bool = False


@frozen(kw_only=True)
class KeyReport:
    """
    A client's report about one API key: what the client uses, and what it asks for.

    Attributes:
        slots: The slots that the client uses.
        polls_wanted: The number of poll times that the client asks for.
        poll_results: What became of granted poll times since the latest report that was answered.
        pauses: The pauses that the service has demanded from this client.
    """

    slots: SlotUse = SlotUse()
    polls_wanted: int = 0
    poll_results: tuple[PollResult, ...] = ()
    pauses: Pauses = Pauses()


@frozen(kw_only=True)
class KeyAllotment:
    """
    The account's answer to a report: what the client may use with one API key.

    Attributes:
        slot_limit: The maximum number of slots that the client may use until its next report; None
            for no limit.
        has_other_waiters: Whether submits of other clients wait for a slot.
        adopted: Tickets of clients that have died or left. From now on, this client owns them and
            their slots.
        poll_times: The times at which the client may start polls, on the account's clock; None if
            the account does not limit polls.
        pauses: The pauses that the service has demanded from any client.
    """

    slot_limit: int | None = None
    has_other_waiters: bool = False
    adopted: tuple[HeldTicket, ...] = ()
    poll_times: tuple[float, ...] | None = ()
    pauses: Pauses = Pauses()


Reports: TypeAlias = Mapping[str, KeyReport]
"""The reports of one client, keyed by the digest of the API key."""

Allotments: TypeAlias = Mapping[str, KeyAllotment]
"""What one client may use, keyed by the digest of the API key."""


class Membership(Protocol):
    """Sends the reports of one client to a shared account, and returns the account's answers."""

    @property
    def waiting_interval_s(self) -> float:
        """The seconds between two reports while a submit waits for a slot."""
        ...

    def clock(self) -> float:
        """Return the time on the account's clock."""
        ...

    def call_on_news(self, on_news: Callable[[], object], /) -> None:
        """
        Call `on_news` when a slot may be free, and when another client has shared a webhook hint.

        An SQLite account never calls `on_news`.
        """
        ...

    async def exchange(self, reports: Reports, /) -> Allotments:
        """Record the client's usage, and return what the client may use from now on."""
        ...

    async def share_hints(self, hints: Sequence[WebhookHint], /) -> Sequence[WebhookHint]:
        """
        Pass webhook hints to the other clients, and return hints from them.

        The result contains the hints that were added since the previous call.
        """
        ...

    async def leave(self, reports: Reports, /) -> None:
        """End the membership. Record the client's tickets, so that other clients can adopt them."""
        ...
