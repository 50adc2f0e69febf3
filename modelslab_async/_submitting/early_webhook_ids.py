"""EarlyWebhooks: remembers webhooks that come before their submit's reply. It polls nothing."""

from collections import deque
from collections.abc import Iterable

from attrs import Factory, define

# Ids are kept as hashes, because anyone who knows the webhook address can post long ids.
_MAX_REMEMBERED_IDS = 1024


@define(eq=False)
class EarlyWebhooks:
    """Remembers the ids in the latest webhooks whose track_id belonged to no ticket with a slot."""

    _hashes: deque[int] = Factory(lambda: deque(maxlen=_MAX_REMEMBERED_IDS))

    def remember(self, ids: Iterable[str]) -> None:
        """Remember the ids and the track_id in a webhook. Ignore empty strings."""
        self._hashes.extend(map(hash, filter(None, ids)))

    def has(self, *ids: str) -> bool:
        """Whether a remembered webhook contained one of these ids."""
        return not {*map(hash, ids)}.isdisjoint(self._hashes)
