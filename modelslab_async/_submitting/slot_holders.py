"""SlotHolders: the tickets that hold slots. It polls no ticket."""

from collections import deque
from collections.abc import ItemsView, Mapping

from attrs import Factory, define

from .._models.ticket import Ticket
from .._parsing.webhook_ids import WebhookHint
from .slot_record import SlotRecord

# The longest time, in seconds, for which a ticket holds a slot. A ticket that is never polled must
# not hold its slot forever.
MAX_SLOT_AGE_S = 3600.0
# Anyone who knows the webhook address can post any number of ids of any length. So of the webhooks
# that come before the reply to their submit, only hashes are kept, and only this many.
_MAX_EARLY_IDS = 1024


@define(eq=False)
class SlotHolders:
    """The tickets that hold slots, oldest submit first."""

    _records: dict[Ticket, SlotRecord] = Factory(dict)
    # The hashes of the ids in recent webhooks that belonged to no ticket with a slot.
    _early_ids: deque[int] = Factory(lambda: deque(maxlen=_MAX_EARLY_IDS))
    _is_sorted: bool = True

    def __len__(self) -> int:
        return len(self._records)

    @property
    def records(self) -> Mapping[Ticket, SlotRecord]:
        """The record of each ticket that holds a slot."""
        return self._records

    def items(self) -> ItemsView[Ticket, SlotRecord]:
        """Return the tickets that hold slots, with their records."""
        return self._records.items()

    def add(self, ticket: Ticket, record: SlotRecord) -> None:
        """Add a ticket that this client has submitted just now."""
        ids = {hash(record.track_id), hash(ticket.id)}
        record.was_named_by_webhook = not ids.isdisjoint(self._early_ids)
        self._records[ticket] = record

    def adopt(self, ticket: Ticket, *, endpoint: str, submitted_at: float) -> None:
        """Add a ticket that another process or client has submitted, if it holds no slot yet."""
        record = SlotRecord(endpoint, submitted_at, polled_at=submitted_at)
        if self._records.setdefault(ticket, record) is record:
            # The ticket may be older than the tickets before it.
            self._is_sorted = False

    def get(self, ticket: Ticket) -> SlotRecord | None:
        """Return the record of a ticket; None if it holds no slot."""
        return self._records.get(ticket)

    def remove(self, ticket: Ticket) -> SlotRecord | None:
        """Remove a ticket. Return its record; None if it held no slot."""
        return self._records.pop(ticket, None)

    def remove_stale(self, now: float) -> None:
        """Remove the tickets that were submitted an hour ago or earlier."""
        if not self._is_sorted:
            by_age = sorted(self._records.items(), key=lambda item: item[1].submitted_at)
            self._records, self._is_sorted = dict(by_age), True
        while self._records:
            ticket, record = next(iter(self._records.items()))
            if now - record.submitted_at < MAX_SLOT_AGE_S:
                return
            del self._records[ticket]

    def take_hint(self, hint: WebhookHint) -> Ticket | None:
        """Mark the tickets of a webhook. Return the first with the hint's track_id, else None."""
        found: list[Ticket] = []
        for ticket, record in self._records.items():
            if hint.track_id and record.track_id == hint.track_id:
                found.append(ticket)
            elif ticket.id not in hint.ids:
                continue
            record.was_named_by_webhook = True
        if not found:
            # Remember the ids, because a webhook may come before the reply to its submit.
            self._early_ids.extend(map(hash, filter(None, (hint.track_id, *hint.ids))))
        return found[0] if found else None
