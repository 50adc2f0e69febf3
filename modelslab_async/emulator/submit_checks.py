"""Gate: which submits are refused, and in which words. Never reads a clock."""

import json
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

from modelslab_async._registry.endpoint import Endpoint

from . import messages
from .family_formats import dialect_of
from .job_store import Ledger

Refusal = tuple[int, dict[str, Any]]

# What tells two requests for the same work apart, and is no part of what is asked for.
_MARKS = ("track_id", "webhook")


class Gate:
    """
    Keeps out what the service would not take.

    Args:
        ledger: Whose queue is how full.
        broke: Keys without credits.
        queue_limit: How many unfinished submitted jobs a key may have; None is no limit.
        spam_window: For how many seconds the same submit is refused, whatever its track_id and its
            webhook; None takes any.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        broke: Collection[str],
        queue_limit: int | None,
        spam_window: float | None,
    ) -> None:
        self._ledger = ledger
        self._broke = broke
        self._queue_limit = queue_limit
        self._spam_window = spam_window
        # When each submit was last taken, oldest first.
        self._taken: dict[bytes, float] = {}

    def refusal(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float
    ) -> Refusal | None:
        """The HTTP status and the body of a refusal; None: come in."""
        incomplete = missing(endpoint, fields)
        if incomplete:
            return incomplete
        spelled = dialect_of(endpoint.name).message
        if key in self._broke:
            return 402, messages.refusal(messages.NO_CREDITS, spelled=spelled)
        if self._repeats(endpoint, fields, key, now):
            return 200, messages.spam(spelled=spelled)
        limit = self._queue_limit
        if limit is not None and self._ledger.queued(key, now) >= limit:
            return 429, messages.queue_full(limit, spelled=spelled)
        return None

    def remember(self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float) -> None:
        """Take note of a submit that came in."""
        if self._spam_window is not None:
            self._taken[_mark(endpoint, fields, key)] = now

    def _repeats(self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float) -> bool:
        if self._spam_window is None:
            return False
        while self._taken:
            mark, taken = next(iter(self._taken.items()))
            if now - taken < self._spam_window:
                break
            del self._taken[mark]
        return _mark(endpoint, fields, key) in self._taken


def missing(endpoint: Endpoint, fields: Mapping[str, Any]) -> Refusal | None:
    """The refusal that names the first required parameter that is not given."""
    for group in (*((name,) for name in endpoint.required), *endpoint.any_of):
        if not any(_given(fields.get(name)) for name in group):
            spelled = dialect_of(endpoint.name).message
            return 400, messages.refusal(messages.required(group[0]), spelled=spelled)
    return None


def _given(value: object) -> bool:
    return value is not None and value not in ("", [])


def _mark(endpoint: Endpoint, fields: Mapping[str, Any], key: str) -> bytes:
    """What tells one submit from another. The key is in it, so nothing but a digest is kept."""
    asked = {name: value for name, value in fields.items() if name not in _MARKS}
    text = json.dumps([key, endpoint.name, asked], sort_keys=True)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
