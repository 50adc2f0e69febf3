"""SubmitChecks: decides which submits are refused, and with which reply."""

import json
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

from modelslab_async._registry.endpoint import Endpoint

from . import shared_replies
from .family_reply_formats import format_of
from .job_store import JobStore

Refusal = tuple[int, dict[str, Any]]

# Fields that do not change the work. Two submits that differ only in these fields count as repeats.
_IGNORED_FIELDS = ("track_id", "webhook")


class SubmitChecks:
    """
    Refuses the submits that the service would refuse.

    Args:
        job_store: Counts the queued jobs of each API key.
        keys_without_credits: API keys whose submits are refused.
        queue_limit: The maximum number of unfinished submitted jobs of one API key. With None,
            there is no limit.
        spam_window: The seconds that must pass before an accepted submit can be repeated. With
            None, no repeat is refused.
    """

    def __init__(
        self,
        job_store: JobStore,
        *,
        keys_without_credits: Collection[str],
        queue_limit: int | None,
        spam_window: float | None,
    ) -> None:
        self._job_store = job_store
        self._keys_without_credits = keys_without_credits
        self._queue_limit = queue_limit
        self._spam_window = spam_window
        # The time when each submit was accepted, keyed by the hash of the submit, oldest first.
        self._accepted_at: dict[bytes, float] = {}

    def refusal(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float
    ) -> Refusal | None:
        """Return the status and the body of a refusal, or None if the submit is accepted."""
        incomplete = missing_parameter(endpoint, fields)
        if incomplete:
            return incomplete
        message_field = format_of(endpoint.name).message_field
        if key in self._keys_without_credits:
            return 402, shared_replies.refusal(
                shared_replies.NO_CREDITS, message_field=message_field
            )
        if self._is_repeat(endpoint, fields, key, now):
            return 200, shared_replies.spam_refusal(message_field=message_field)
        limit = self._queue_limit
        if limit is not None and self._job_store.queued_count(key, now) >= limit:
            return 429, shared_replies.queue_full_refusal(limit, message_field=message_field)
        return None

    def record(self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float) -> None:
        """Record an accepted submit, so that its repeats are refused."""
        if self._spam_window is not None:
            self._accepted_at[_payload_digest(endpoint, fields, key)] = now

    def _is_repeat(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, now: float
    ) -> bool:
        if self._spam_window is None:
            return False
        while self._accepted_at:
            digest, accepted_at = next(iter(self._accepted_at.items()))
            if now - accepted_at < self._spam_window:
                break
            del self._accepted_at[digest]
        return _payload_digest(endpoint, fields, key) in self._accepted_at


def missing_parameter(endpoint: Endpoint, fields: Mapping[str, Any]) -> Refusal | None:
    """Return the refusal that names the first missing required parameter, or None."""
    for group in (*((name,) for name in endpoint.required), *endpoint.any_of):
        if not any(_is_given(fields.get(name)) for name in group):
            message_field = format_of(endpoint.name).message_field
            return 400, shared_replies.refusal(
                shared_replies.required(group[0]), message_field=message_field
            )
    return None


def _is_given(value: object) -> bool:
    return value is not None and value not in ("", [])


def _payload_digest(endpoint: Endpoint, fields: Mapping[str, Any], key: str) -> bytes:
    """
    Return the hash by which a repeated submit is recognised.

    The hash covers the API key, the endpoint and all fields except `track_id` and `webhook`. The
    API key cannot be recovered from the hash.
    """
    compared = {name: value for name, value in fields.items() if name not in _IGNORED_FIELDS}
    text = json.dumps([key, endpoint.name, compared], sort_keys=True)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
