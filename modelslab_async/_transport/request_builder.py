"""RequestBuilder: turns calls and polls into HTTP requests with the key. It sends nothing."""

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

# The headers of all requests. `identity` asks for uncompressed bodies, because a small compressed
# body can decompress to any size.
_HEADERS: tuple[tuple[str, str], ...] = (
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", f"modelslab-async/{__version__}"),
)
# The placeholder for a ticket's id in the template of a request. It is random, so that it occurs
# nowhere else in the request.
_ID_PLACEHOLDER: Final = secrets.token_hex(16)
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


@frozen(repr=False)
class _RequestTemplate:
    """
    A poll request that still lacks the ticket's id.

    It holds the key, so its repr shows no attributes.
    """

    method: str
    url: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]

    @classmethod
    def from_request(cls, request: Request) -> "_RequestTemplate":
        """Make a template from a request that has `_ID_PLACEHOLDER` in place of the id."""
        return cls(
            request.method,
            tuple(request.url.split(_ID_PLACEHOLDER)),
            request.headers,
            tuple(request.body.split(_ID_PLACEHOLDER.encode())),
        )

    def fill(self, id_: str) -> Request:
        """Put an id that needs no quoting into the template, and return the request."""
        return Request(
            method=self.method,
            url=id_.join(self.url),
            headers=self.headers,
            body=id_.encode().join(self.body),
        )


class RequestBuilder:
    """
    Builds the requests for calls and polls. It holds the keys, so its repr shows no attribute.

    Args:
        credentials: The keys to add.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._templates: dict[str, _RequestTemplate] = {}

    def build(self, call: Call) -> Request:
        """
        Return the HTTP request for a `Call`, with the API key where `call.key_in` says.

        Raises:
            MissingApiKey: There is no key for the call's tier.
        """
        key = self._credentials.key_for(call.tier)
        url, headers, fields = call.url, _HEADERS, call.fields
        match call.key_in:
            case "body":
                fields = {**fields, "key": key}
            case "header":
                headers = (*headers, ("key", key))
            case "query":
                url = f"{url}{'&' if '?' in url else '?'}key={quote(key, safe='')}"
        # A submit always has a body, even if only `{}`. So a `TrackedBody` that was never read
        # proves that the submit never left.
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

        An id of letters and digits, as nearly all ids are, is put into a template of its family.
        For any other id, the whole request is built.

        Raises:
            MissingApiKey: There is no key for the family's tier.
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
