"""Reads responses of utility endpoints, which start no job. Returns a dictionary, not a `Reply`."""

from typing import Any

from .._models.errors import InvalidRequest, UnreadableReply
from .json_body import first_text
from .reply import MESSAGE_FIELDS, find_error_type, parse_fields
from .reply_errors import ErrorReply, redirect_error
from .retry_after import Headers
from .status import Meaning, read_state


def read_utility_reply(
    *, status_code: int, headers: Headers = (), body: bytes, received_at: float | None = None
) -> dict[str, Any]:
    """
    Read the response of a utility endpoint.

    A JSON array, such as the list of models, becomes the field `data` of an object.

    Raises:
        TransientError: The reply is unreadable, or the server has a problem.
        Refused: The server refuses the API key, the plan or the request.
    """
    if 300 <= status_code < 400:
        raise redirect_error(None, status_code, headers)
    if body.lstrip().startswith(b"["):
        # Wrap the array before it is parsed, so that the limits of size and depth hold for arrays
        # too.
        body = b'{"data":%b}' % body
    fields = parse_fields(None, status_code, headers, body, received_at)
    state = read_state(fields, "generation")
    message = first_text(fields, *MESSAGE_FIELDS)
    error_type = find_error_type(status_code, fields, state, message)
    if error_type is UnreadableReply and status_code < 400:
        # The reply has no field `status`. That is no error, because utility endpoints need not send
        # this field.
        return fields
    if error_type is None and state.meaning is Meaning.FAILED:
        error_type = InvalidRequest
    if error_type is None:
        return fields
    raise ErrorReply(status_code, headers, fields, state, received_at).to_error(
        error_type, message, None
    )
