"""SubmitRequest: one request to start work, with the ids that identify it."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from .._models.events import Submitted
from .._models.replies import Processing, Success
from .._registry.endpoint import Endpoint
from .file_reading import Upload

# Random track_ids are integers, because most pages of the service's documentation ask for integers.
# They are below this limit, because every JSON parser keeps such integers exactly.
_TRACK_ID_LIMIT = 2**53
# The parameters that are not hashed, because two requests for the same work may differ in them.
_UNHASHED_PARAMETERS = ("track_id", "webhook")


@frozen(kw_only=True)
class SubmitRequest:
    """
    A request to start work.

    Attributes:
        endpoint: The endpoint to submit to.
        params: The parameters, including a track_id if the endpoint takes one.
        payload_hash: The SHA-256 of the endpoint and the parameters, without track_id and webhook.
        submit_id: The id under which a recorder stores the request: its track_id, or else a random
            string.
        key: The submission key: the caller's own name for the submission, which is not sent. None
            if there is none.
        columns: The columns of the input table for this request. They are recorded, but not sent.
    """

    endpoint: Endpoint
    params: Mapping[str, Any] = field(repr=False)
    payload_hash: str
    submit_id: str
    key: str | None = None
    columns: Mapping[str, Any] = field(factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        key: str | None = None,
        columns: Mapping[str, Any] = MappingProxyType({}),
    ) -> "SubmitRequest":
        """
        Check the parameters, and return the request.

        If the endpoint takes a track_id and the caller gave none, add a random one.

        Raises:
            ValueError: The parameters do not fit the endpoint, or cannot be written as JSON.
        """
        with_track_id = dict(params)
        if with_track_id.get("track_id") is None and "track_id" in endpoint.parameters:
            with_track_id["track_id"] = secrets.randbelow(_TRACK_ID_LIMIT)
        endpoint.check(with_track_id)
        return cls(
            endpoint=endpoint,
            params=with_track_id,
            payload_hash=hash_payload(endpoint, params),
            submit_id=_track_id(with_track_id) or secrets.token_hex(8),
            key=key,
            columns=columns,
        )

    @property
    def track_id(self) -> str:
        """The track_id as a string; "" if there is none."""
        return _track_id(self.params)

    def submitted_event(self, reply: Processing | Success) -> Submitted:
        """Return the `Submitted` event for the server's reply to this request."""
        return Submitted(
            ticket=reply.ticket,
            endpoint=self.endpoint.name,
            track_id=self.track_id,
            payload_hash=self.payload_hash,
            reply=reply,
        )


def _track_id(params: Mapping[str, Any]) -> str:
    track_id = params.get("track_id")
    return "" if track_id is None else str(track_id)


def _digest(value: object) -> str:
    if isinstance(value, Upload):
        return value.digest
    raise TypeError(f"a {type(value).__name__} is none of these")


def hash_payload(endpoint: Endpoint, params: Mapping[str, Any]) -> str:
    """
    Return a hash of an endpoint and its parameters, without track_id and webhook.

    Raises:
        ValueError: The parameters cannot be written as JSON.
    """
    payload = {name: value for name, value in params.items() if name not in _UNHASHED_PARAMETERS}
    try:
        text = json.dumps(
            [endpoint.name, payload], sort_keys=True, separators=(",", ":"), default=_digest
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the parameters of {endpoint.name} are what JSON can carry (texts, numbers, booleans, "
            f"lists, maps), or files: {error}"
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()
