"""Requests: makes a Call a request with the key, and a look one without a Call in between."""

import json
import secrets
from typing import Final
from urllib.parse import quote

from attrs import frozen

from .._models.ticket import Ticket
from .._models.version import __version__
from .._registry.family import Call, Family
from .base import Request
from .credentials import Credentials

# Identity, since a body that must be unpacked first is a body without a bound.
_HEADERS: tuple[tuple[str, str], ...] = (
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", f"modelslab-async/{__version__}"),
)
# Stands where the id will stand, and by no chance anywhere else.
_ID_PLACEHOLDER: Final = secrets.token_hex(16)
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


@frozen(repr=False)
class _RequestTemplate:
    """A request whose id is not filled in yet. It holds the key, and shows nothing."""

    method: str
    url: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]

    @classmethod
    def from_request(cls, request: Request) -> "_RequestTemplate":
        """The form of a request whose id is the stand-in."""
        return cls(
            request.method,
            tuple(request.url.split(_ID_PLACEHOLDER)),
            request.headers,
            tuple(request.body.split(_ID_PLACEHOLDER.encode())),
        )

    def fill(self, id_: str) -> Request:
        """The request for an id that needs no quotation."""
        return Request(
            method=self.method,
            url=id_.join(self.url),
            headers=self.headers,
            body=id_.encode().join(self.body),
        )


class RequestBuilder:
    """Knows the keys, so its repr is the plain one of an object."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._templates: dict[str, _RequestTemplate] = {}

    def build(self, call: Call) -> Request:
        """The request for a call."""
        key = self._credentials.key_for(call.tier)
        url, headers, fields = call.url, _HEADERS, call.fields
        match call.key_in:
            case "body":
                fields = {**fields, "key": key}
            case "header":
                headers = (*headers, ("key", key))
            case "query":
                url = f"{url}{'&' if '?' in url else '?'}key={quote(key, safe='')}"
        # What may not be repeated has a body, be it `{}`: over httpx it proves what never left.
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
        The request that asks about a ticket.

        What does not depend on the id is made once for each name that families have in the
        registry. Ids of letters and digits are filled in as they are; there is hardly another.

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
