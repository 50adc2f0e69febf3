"""Typing protocols: what the engine needs of an account that several clients share."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .._models.events import Event
from .._models.key_kind import Tier
from .._parsing.webhook_ids import WebhookHint
from .._polling.poller import Poller
from .._scheduling.rate_limiter import PollRate
from .._scheduling.schedule import Schedule
from .._submitting.slot_polls import SlotPolls
from .._submitting.slots import Slots


class JoinedAccount(Protocol):
    """The link between one client and the account that it has joined."""

    def start(
        self, schedule: Schedule, poller: Poller, on_hint: Callable[[WebhookHint], object], /
    ) -> None:
        """
        Start the link: from now on, the account grants slots and polls to this client.

        Args:
            schedule: The client's open tickets.
            poller: The client's poller.
            on_hint: Called with the ids from each webhook that another client received.
        """
        ...

    def share_hint(self, hint: WebhookHint, /) -> None:
        """Make the other clients of the account poll the tickets that a webhook names."""
        ...

    async def aclose(self) -> None:
        """Leave the account. The account keeps the slots of tickets that are still open."""
        ...

    def poll_rate_of(self, tier: Tier, /) -> PollRate | None:
        """Return the rate limiter for polls with one key; None if such polls are not limited."""
        ...

    def make_slots(self, tier: Tier, polls: SlotPolls, /) -> Slots:
        """Return the slots of one key. The account sets the number of slots."""
        ...

    def on_event(self, event: Event, /) -> None:
        """Handle an event of this client. If the server asked for a pause, tell the account."""
        ...


@runtime_checkable
class Account(Protocol):
    """One account. All clients that get it as `account=...` share its limits."""

    @property
    def rate(self) -> float | None:
        """The maximum number of polls a second with one key; None for no limit."""
        ...

    @property
    def queue(self) -> int | None:
        """The number of slots of one key; None for no limit."""
        ...

    def join(self, digest_of: Callable[[Tier], str], /) -> JoinedAccount:
        """
        Let one more client join this account.

        `digest_of` returns the hash of a key, so the account never gets the key itself.
        """
        ...
