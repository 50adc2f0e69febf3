"""Protocols of an account that several clients share. They limit nothing themselves."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .._models.events import Event
from .._models.key_tier import Tier
from .._parsing.webhook_ids import WebhookHint
from .._polling.poller import Poller
from .._scheduling.rate_limiter import PollRate
from .._scheduling.schedule import Schedule
from .._submitting.slot_polls import SlotPolls
from .._submitting.slots import Slots


class JoinedAccount(Protocol):
    """An account that one client has joined."""

    def start(
        self, schedule: Schedule, poller: Poller, on_hint: Callable[[WebhookHint], object], /
    ) -> None:
        """Tell the account from now on what the client uses, and pass on its webhooks."""
        ...

    def share_hint(self, hint: WebhookHint, /) -> None:
        """Let the other clients of the account poll what a webhook is about."""
        ...

    async def aclose(self) -> None:
        """Leave the account. It keeps the slots of the tickets that are still open."""
        ...

    def poll_rate_of(self, tier: Tier, /) -> PollRate | None:
        """Return the limiter of polls with a key; None if they are not limited."""
        ...

    def make_slots(self, tier: Tier, polls: SlotPolls, /) -> Slots:
        """Return the slots of one key. The account sets their number."""
        ...

    def on_event(self, event: Event, /) -> None:
        """Tell the account of a pause that the server asked for."""
        ...


@runtime_checkable
class Account(Protocol):
    """One account. All clients that it is passed to share its limits."""

    @property
    def rate(self) -> float | None:
        """The maximum number of polls a second with one key; None for no limit."""
        ...

    @property
    def queue(self) -> int | None:
        """The number of slots of one key; None for no limit."""
        ...

    def join(self, digest_of: Callable[[Tier], str], /) -> JoinedAccount:
        """Let one more client join. The account gets digests of keys, and no key."""
        ...
