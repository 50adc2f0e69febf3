"""Encodes replies and outcomes as the columns of a row, and decodes them."""

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

from attrs import frozen

from .._models.journal_errors import JournalDamaged
from .._models.replies import Failed, Processing, Reply, Success
from .._models.serialization import from_dict, to_dict
from .._models.ticket import Columns, Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .._parsing.json_body import to_number
from .schema import FAILED, OPEN, SUCCESS, UNRESOLVED

# The errors that decoding a damaged row can raise.
DAMAGE: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)


# The values of the columns `state`, `body` and `other_fields` of the table `replies`. `body` is the
# JSON body of the server's reply. `other_fields` is a JSON object with the fields that cannot be
# computed from the body. The type is a plain tuple, because a NamedTuple would make `encode` 10 %
# slower.
ReplyColumns: TypeAlias = tuple[int, str | None, str | None]


def text_size(row: Sequence[object]) -> int:
    """Return the number of characters in all texts of a row."""
    return sum(len(value) for value in row if isinstance(value, str))


def damaged_row(ticket: Ticket | str, what: str, table: str, error: Exception) -> JournalDamaged:
    """Return the error for a row that cannot be decoded."""
    damaged = JournalDamaged(
        f"the {what} of {ticket} makes no sense ({type(error).__name__}: {error!s:.200}); keep a "
        f"copy of this journal, and delete that row of the table {table} to have the others"
    )
    if isinstance(ticket, Ticket):
        damaged.ticket = ticket
    return damaged


def _missing_row(ticket: Ticket) -> JournalDamaged:
    damaged = JournalDamaged(
        f"{ticket} has ended, but the journal holds no reply of it; reopen the ticket to poll it "
        "again, as the guide to batches says"
    )
    damaged.ticket = ticket
    return damaged


def _strings(value: object) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _processing_fields(raw: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        _string(raw.get("status")) or "processing",
        to_number(raw.get("eta")),
        _string(raw.get("message")),
        _strings(raw.get("future_links")),
        _string(raw.get("fetch_result")) or None,
    )


def _success_fields(raw: Mapping[str, Any]) -> tuple[object, ...]:
    meta = raw.get("meta")
    return (
        _strings(raw.get("output")),
        _strings(raw.get("proxy_links")),
        to_number(raw.get("generationTime")),
        _string(raw.get("message")),
        None,
        meta if isinstance(meta, dict) else {},
    )


def _failed_fields(raw: Mapping[str, Any]) -> tuple[object, ...]:
    return _string(raw.get("message")), "failed"


@frozen
class _ReplyCodec:
    """
    Encodes and decodes one kind of reply.

    Fields that can be computed from the reply's body are not stored.
    """

    make: Callable[..., Processing | Success | Failed]
    field_names: tuple[str, ...]
    from_body: Callable[[Mapping[str, Any]], tuple[object, ...]]
    fields: Callable[[object], tuple[object, ...]]


def _codec(
    make: Callable[..., Processing | Success | Failed],
    from_body: Callable[[Mapping[str, Any]], tuple[object, ...]],
    *field_names: str,
) -> _ReplyCodec:
    return _ReplyCodec(make, field_names, from_body, attrgetter(*field_names))


_CODECS: Final[Mapping[int, _ReplyCodec]] = {
    OPEN: _codec(
        *(Processing, _processing_fields),
        *("status", "eta", "message", "future_links", "fetch_result"),
    ),
    SUCCESS: _codec(
        *(Success, _success_fields),
        *("output", "proxy_links", "generation_time", "message", "nsfw", "meta"),
    ),
    FAILED: _codec(Failed, _failed_fields, "message", "reason"),
}
_STATE_BY_TYPE: Final[Mapping[type, int]] = {Processing: OPEN, Success: SUCCESS, Failed: FAILED}
_TUPLE_FIELDS: Final = ("output", "proxy_links", "future_links")

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encode(value: Reply | Outcome) -> ReplyColumns:
    """Encode a reply or an outcome as the columns of a row."""
    if isinstance(value, Unresolved):
        return _encode_unresolved(value)
    state = _STATE_BY_TYPE[type(value)]
    codec, raw = _CODECS[state], value.raw
    fields, from_body = codec.fields(value), codec.from_body(raw)
    other_fields = None
    if fields != from_body:
        named = zip(codec.field_names, fields, from_body, strict=True)
        other_fields = _encode({name: field for name, field, given in named if field != given})
    return state, _encode(raw) if raw else None, other_fields


def decode(ticket: Ticket, columns: Sequence[Any]) -> Reply | Outcome:
    """
    Decode the reply or outcome in the columns of a row.

    Raises:
        JournalDamaged: The row is missing, so all columns are None. Or the columns contain no valid
            reply or outcome.
    """
    if columns[0] is None:
        raise _missing_row(ticket)
    try:
        return _decode_row(ticket, columns)
    except DAMAGE as error:
        raise damaged_row(ticket, "reply", "replies", error) from error


def _decode_row(ticket: Ticket, columns: Sequence[Any]) -> Reply | Outcome:
    state, body, other_fields_json = columns
    raw: dict[str, Any] = json.loads(body) if body else {}
    other_fields: dict[str, Any] = json.loads(other_fields_json) if other_fields_json else {}
    if state == UNRESOLVED:
        if other_fields["last"]:
            other_fields["last"]["raw"] = raw
        return from_dict({**other_fields, "kind": "unresolved", "ticket": str(ticket)})
    codec = _CODECS[state]
    fields = dict(zip(codec.field_names, codec.from_body(raw), strict=True))
    other_fields |= {
        name: tuple(other_fields[name]) for name in _TUPLE_FIELDS if name in other_fields
    }
    return codec.make(ticket=ticket, raw=raw, **(fields | other_fields))


def decode_columns(owner: Ticket | str, text: str | None, table: str) -> Columns:
    """
    Decode the values that a ticket or a submit has in the input table.

    Raises:
        JournalDamaged: The text is not a JSON object.
    """
    if text is None:
        return {}
    try:
        columns = json.loads(text)
        if not isinstance(columns, dict):
            raise TypeError(f"{type(columns).__name__} is no object")
    except DAMAGE as error:
        raise damaged_row(owner, "columns of the input", table, error) from error
    return columns


def decode_named_ticket(track_id: str, text: str | None) -> Ticket | None:
    """
    Decode the ticket that the reply to an uncertain submit names.

    Raises:
        JournalDamaged: The text is not a ticket.
    """
    if text is None:
        return None
    try:
        return Ticket.parse(text)
    except DAMAGE as error:
        raise damaged_row(track_id, "named ticket", "submits", error) from error


def _encode_unresolved(outcome: Unresolved) -> ReplyColumns:
    record = to_dict(outcome)
    del record["kind"], record["ticket"]
    raw = record["last"].pop("raw") if record["last"] else None
    return UNRESOLVED, _encode(raw) if raw else None, _encode(record)
