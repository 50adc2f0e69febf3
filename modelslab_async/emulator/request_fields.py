"""Reads the fields and the API key of a request, wherever the client puts them."""

import json
import sys
from collections.abc import Mapping
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

# Every number with so many digits is greater than `sys.maxsize`.
_MAX_DIGITS = len(str(sys.maxsize)) + 1


class UnreadableRequestError(ValueError):
    """The body of a request is neither a JSON object nor a form."""


async def read_fields(request: Request) -> dict[str, Any]:
    """
    Read the fields of the query and the body. The body wins if both have the same field.

    Raises:
        UnreadableRequestError: The body is neither a JSON object nor a form.
    """
    query = {name: value for name, value in request.query_params.items() if name != "key"}
    return {**query, **await _read_body(request)}


async def _read_body(request: Request) -> dict[str, Any]:
    body = (await request.body()).strip()
    if not body:
        return {}
    # Some clients send JSON with the content type of a form. So a body that starts with `{` is read
    # as JSON, whatever its content type.
    if not body.startswith(b"{"):
        content_type = request.headers.get("content-type", "")
        if content_type.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        if content_type.startswith("multipart/form-data"):
            return _multipart(body, content_type)
    try:
        fields: object = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableRequestError from None
    if not isinstance(fields, dict):
        raise UnreadableRequestError
    return {str(name): value for name, value in fields.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _multipart(body: bytes, content_type: str) -> dict[str, Any]:
    message = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, Any] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode(errors="replace")
    return fields


def read_count(digits: str, *, most: int = sys.maxsize) -> int:
    """
    Return the number that a string of decimal digits names, or `most` if the number is greater.

    Unlike `int`, this function takes any number of digits.
    """
    return min(int(digits.lstrip("0")[:_MAX_DIGITS] or "0"), most)


def find_key(fields: Mapping[str, Any], request: Request) -> str:
    """Return the API key from the body, a header or the query; "" if the request has no key."""
    key = fields.get("key")
    if isinstance(key, str) and key:
        return key
    headers = request.headers
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return (
        headers.get("key")
        or (bearer.strip() if scheme.lower() == "bearer" else "")
        or headers.get("x-api-key")
        or request.query_params.get("key", "")
    )
