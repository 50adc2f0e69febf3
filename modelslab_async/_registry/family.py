"""Family: one API family. It turns a ticket into the request that polls it, but sends nothing."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import quote

from attrs import Factory, evolve, field, frozen

from .._models.key_kind import Tier
from .._models.short_repr import short_repr
from .._models.ticket import Ticket
from .field_validators import matching, one_of
from .service_hosts import BASE_URL, LEGACY_BASE_URL
from .url_template import fill_hosts, is_absolute_url, placeholders, split_at_placeholders

Method: TypeAlias = Literal["GET", "POST"]
KeyLocation: TypeAlias = Literal["body", "header", "query"]
StatusRule: TypeAlias = Literal["generation", "training", "workflow"]
Medium: TypeAlias = Literal["image", "video", "audio", "text", "3d"]


@frozen(kw_only=True)
class Call:
    """
    One request that is ready to be sent, except for the API key.

    Attributes:
        method: The HTTP method.
        url: The complete URL.
        fields: The fields of the JSON body, without the API key.
        key_in: Where the API key goes: `body`, `header` or `query`.
        tier: Which API key the request needs: `standard` or `enterprise`.
        repeatable: Whether the request may be sent twice without harm. The HTTP method does not say
            so: a poll and a submit may both be POST requests.
    """

    method: Method
    url: str
    fields: Mapping[str, Any] = field(factory=dict, hash=False, repr=short_repr)
    key_in: KeyLocation = "body"
    tier: Tier = "standard"
    repeatable: bool


def _check_url(family: "Family", _attribute: object, value: str) -> None:
    if not is_absolute_url(value):
        raise ValueError(
            f"the url of family {family.name!r} starts with {{base}}, {{legacy}} or https:// and "
            f"has its id in the path, no query and no fragment, got {value!r}"
        )


def _split_url(family: "Family") -> tuple[str, ...]:
    return split_at_placeholders(family.url)


@frozen(kw_only=True)
class Family:
    """
    One row of the registry: how the tickets of one API family are polled.

    Args:
        name: The family's name, which is the first half of a ticket such as `images:1`.
        url: The URL template. `{base}` and `{legacy}` stand for the two hosts of the service. Every
            other name in braces stands for one part of the id.
        method: The HTTP method of a poll.
        id_field: The field of the body that holds the id. None if the id is part of the path.
        key_in: Where the API key goes: `body`, `header` or `query`.
        tier: Which API key a poll needs: `standard` or `enterprise`.
        status: The format in which replies state the status: `generation`, `training` or
            `workflow`.
        output: The media of the results.
        doc: The documentation page of the family, or "" if there is none.
        note: A remark for users.

    Example:
        >>> v9 = Family(name="v9_images", url="{base}/v9/images/fetch/{id}")
        >>> v9.build_poll(Ticket("v9_images", 5)).url
        'https://modelslab.com/api/v9/images/fetch/5'
    """

    name: str = field(
        validator=matching(
            r"[A-Za-z][A-Za-z0-9_-]*",
            "the name of a family",
            "a letter and then letters, digits, '-' or '_', such as 'v9_images'",
        )
    )
    url: str = field(validator=_check_url)
    method: Method = field(default="POST", validator=one_of(get_args(Method)))
    id_field: str | None = None
    key_in: KeyLocation = field(default="body", validator=one_of(get_args(KeyLocation)))
    tier: Tier = field(default="standard", validator=one_of(get_args(Tier)))
    status: StatusRule = field(default="generation", validator=one_of(get_args(StatusRule)))
    output: tuple[Medium, ...] = ("image",)
    doc: str = ""
    note: str = ""
    _url_pieces: tuple[str, ...] = field(
        init=False, repr=False, eq=False, default=Factory(_split_url, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        if bool(self.id_parts) == bool(self.id_field):
            raise ValueError(
                f"family {self.name!r} puts the id either in its url ({{id}}) or in a body field "
                f"(id_field), exactly one of both; got url {self.url!r}, id_field {self.id_field!r}"
            )
        if self.method == "GET" and (self.id_field or self.key_in == "body"):
            raise ValueError(f"family {self.name!r}: a GET carries no body for the id or the key")

    @property
    def id_parts(self) -> tuple[str, ...]:
        """The names of the id's parts in the URL. Empty if the id goes into the body."""
        return placeholders(self.url)

    def with_hosts(self, *, base: str = BASE_URL, legacy: str = LEGACY_BASE_URL) -> "Family":
        """Return a copy whose URL has `base` and `legacy` in place of `{base}` and `{legacy}`."""
        return evolve(self, url=fill_hosts(self.url, base=base, legacy=legacy))

    def check(self, ticket: Ticket) -> None:
        """
        Check that the ticket's id fits this family.

        Raises:
            ValueError: The id has the wrong number of parts, or the service issued no id for the
                ticket.
        """
        ticket.require_id()
        expected, got = max(1, len(self._url_pieces) - 1), ticket.id.count("/") + 1
        if expected != got:
            id_format = "/".join(self.id_parts) or "id"
            raise ValueError(
                f"an id of family {self.name!r} has {expected} part(s), written '{id_format}', "
                f"got {ticket.id!r}"
            )

    def build_poll(self, ticket: Ticket) -> Call:
        """
        Build the request that polls one ticket.

        Raises:
            ValueError: The id does not fit this family.
        """
        self.check(ticket)
        return Call(
            method=self.method,
            url=self._url_pieces[0] if self.id_field else self._url(ticket),
            fields={self.id_field: ticket.id} if self.id_field else {},
            key_in=self.key_in,
            tier=self.tier,
            repeatable=True,
        )

    def _url(self, ticket: Ticket) -> str:
        first, *others = self._url_pieces
        parts = zip(ticket.id.split("/"), others, strict=True)
        return first + "".join(_quote_part(part) + piece for part, piece in parts)


def _quote_part(part: str) -> str:
    return part if part.isascii() and part.isalnum() else quote(part, safe="")
