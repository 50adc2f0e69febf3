"""Builds requests from calls by adding the key and the common headers. It sends nothing."""

import json
import secrets
from typing import Final
from urllib.parse import quote

from attrs import frozen

from .._models.ticket import Ticket
from .._models.version import __version__
from .._registry.family import Call, Family
from .credentials import Credentials
from .transport_protocol import Request

# The requests ask for identity encoding, because a small compressed body can decompress to any
# size.
_HEADERS: tuple[tuple[str, str], ...] = (
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", f"modelslab-async/{__version__}"),
)
# Marks where the id goes in a template. It is random, so it occurs nowhere else in the request.
_ID_PLACEHOLDER: Final = secrets.token_hex(16)
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


@frozen(repr=False)
class _RequestTemplate:
    """A poll request without the ticket's id. It holds the key, so its repr shows no attribute."""

    method: str
    url: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]

    @classmethod
    def from_request(cls, request: Request) -> "_RequestTemplate":
        """Split a request at `_ID_PLACEHOLDER`."""
        return cls(
            request.method,
            tuple(request.url.split(_ID_PLACEHOLDER)),
            request.headers,
            tuple(request.body.split(_ID_PLACEHOLDER.encode())),
        )

    def fill(self, id_: str) -> Request:
        """Return the request for an id that needs no quoting."""
        return Request(
            method=self.method,
            url=id_.join(self.url),
            headers=self.headers,
            body=id_.encode().join(self.body),
        )


class RequestBuilder:
    """
    Turns calls and tickets into requests. It holds the keys, so its repr shows no attribute.

    Args:
        credentials: The keys to add.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._templates: dict[str, _RequestTemplate] = {}

    def build(self, call: Call) -> Request:
        """Return the request for a call."""
        key = self._credentials.key_for(call.tier)
        url, headers, fields = call.url, _HEADERS, call.fields
        match call.key_in:
            case "body":
                fields = {**fields, "key": key}
            case "header":
                headers = (*headers, ("key", key))
            case "query":
                url = f"{url}{'&' if '?' in url else '?'}key={quote(key, safe='')}"
        # A submit always has a body, even if only `{}`. So a `TrackedBody` can prove that the
        # submit never left: its body was never read.
        has_body = bool(fields) or not (call.repeatable or call.method == "GET")
        if has_body:
            headers = (*headers, ("content-type", "application/json"))
        return Request(
            method=call.method,
            url=url,
            headers=headers,
            body=_encode_json(fields).encode() if has_body else b"",
            needs_new_connection=not call.repeatable,
        )

    def poll(self, family: Family, ticket: Ticket) -> Request:
        """
        Return the request that polls a ticket.

        For each family, a template is built once. Nearly all ids have only letters and digits and
        are inserted into it without quoting. For other ids, the whole request is built.

        Raises:
            ValueError: The id does not fit this family.
        """
        id_ = ticket.id
        if not (id_.isascii() and id_.isalnum()):
            return self.build(family.build_poll(ticket))
        template = self._templates.get(ticket.family)
        if template is None:
            sample = self.build(family.build_poll(Ticket(ticket.family, _ID_PLACEHOLDER)))
            template = self._templates[ticket.family] = _RequestTemplate.from_request(sample)
        return template.fill(id_)
