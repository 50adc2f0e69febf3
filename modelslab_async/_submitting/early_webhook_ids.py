"""EarlyWebhooks: remembers webhooks that arrive before the reply to their submit."""

from collections import deque
from collections.abc import Iterable

from attrs import Factory, define

# Anyone who knows the webhook address can post any number of ids of any length. So only hashes are
# kept, and only this many.
_MAX_REMEMBERED_IDS = 1024


@define(eq=False)
class EarlyWebhooks:
    """Remembers the ids in recent webhooks whose track_id matched no ticket."""

    _hashes: deque[int] = Factory(lambda: deque(maxlen=_MAX_REMEMBERED_IDS))

    def remember(self, ids: Iterable[str]) -> None:
        """Remember the ids in one webhook, including its track_id. Ignore empty strings."""
        self._hashes.extend(map(hash, filter(None, ids)))

    def has(self, *ids: str) -> bool:
        """Whether a remembered webhook contained one of these ids."""
        return not {*map(hash, ids)}.isdisjoint(self._hashes)
