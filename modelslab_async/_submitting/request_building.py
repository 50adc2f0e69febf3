"""Builds the HTTP request to an endpoint, before anything is sent."""

from collections.abc import Mapping
from typing import Any

from .._models.errors import InvalidRequest
from .._registry.endpoint import Endpoint
from .._transport.sender import Sender
from .._transport.transport_protocol import Request


def build_request(endpoint: Endpoint, params: Mapping[str, Any], sender: Sender) -> Request:
    """
    Return the HTTP request to an endpoint, with the API key.

    Raises:
        InvalidRequest: The request cannot be written as JSON, or an endpoint that the caller
            defined raised an exception in `build_submit`. That exception is the `__cause__`.
    """
    try:
        call = endpoint.build_submit(params)
    except Exception as error:
        reason = type(error).__name__
        raise InvalidRequest(
            f"the request to {endpoint.name} cannot be built, so nothing was sent: {reason}"
        ) from error
    try:
        return sender.build(call)
    except Exception as error:  # noqa: BLE001 -- a caller's endpoint may return anything.
        reason = type(error).__name__
    # Raise outside the `except` block, so that the caught error does not become the `__context__`:
    # the frames in its traceback contain the API key.
    raise InvalidRequest(
        f"the request to {endpoint.name} has fields that JSON can carry (texts, numbers, booleans, "
        f"lists, maps), got others ({reason}); nothing was sent: correct its parameters, or what "
        "its `build_submit` returns"
    )
