"""Typing protocols: the methods of a shared account that the engine calls."""

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
    """The link between one client and a shared account."""

    def start(
        self, schedule: Schedule, poller: Poller, on_hint: Callable[[WebhookHint], object], /
    ) -> None:
        """
        Start to exchange data with the shared account, which grants slots and polls to clients.

        Args:
            schedule: The client's open tickets.
            poller: The client's poller.
            on_hint: Called with the ids from each webhook that another client received.
        """
        ...

    def share_hint(self, hint: WebhookHint, /) -> None:
        """Make the other clients that share the account poll the tickets that a webhook names."""
        ...

    async def aclose(self) -> None:
        """Leave the shared account. Tickets that are still open keep their slots."""
        ...

    def poll_rate_of(self, tier: Tier, /) -> PollRate | None:
        """Return the rate limiter for polls with one API key; None if these polls have no limit."""
        ...

    def make_slots(self, tier: Tier, polls: SlotPolls, /) -> Slots:
        """Return the slots for submits with one API key. The shared account limits their number."""
        ...

    def on_event(self, event: Event, /) -> None:
        """Handle an event of this client. If a rate limit pauses polls, tell the shared account."""
        ...


@runtime_checkable
class Account(Protocol):
    """A shared account. All clients that get this object as `account=...` share its limits."""

    @property
    def rate(self) -> float | None:
        """The maximum number of polls per second with one API key; None for no limit."""
        ...

    @property
    def queue(self) -> int | None:
        """The number of slots for submits with one API key; None for no limit."""
        ...

    def join(self, digest_of: Callable[[Tier], str], /) -> JoinedAccount:
        """
        Add one more client to this shared account.

        `digest_of` returns the hash of an API key. The shared account must not get the key itself.
        """
        ...
