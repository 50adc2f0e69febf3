"""Coding: replies and outcomes as the columns of a row, without loss and without repetition."""

import json
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias

from attrs import frozen

from .._models.journal_errors import JournalDamaged
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Failed, Processing, Reply, Success
from .._models.serialization import from_dict, to_dict
from .._models.ticket import Ticket
from .._parsing.json_body import to_number
from .schema import FAILED, OPEN, SUCCESS, UNRESOLVED

Columns: TypeAlias = tuple[int, str | None, str | None]


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
    How one kind of reply is written.

    What a body says in the usual place is not written a second time; anything else is.
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


def encode(value: Reply | Outcome) -> Columns:
    """The state that a reply or an outcome stands for, the server's body, and what is not in it."""
    if isinstance(value, Unresolved):
        return _encode_unresolved(value)
    state = _STATE_BY_TYPE[type(value)]
    codec, raw = _CODECS[state], value.raw
    fields, from_body = codec.fields(value), codec.from_body(raw)
    extra = None
    if fields != from_body:
        columns = zip(codec.field_names, fields, from_body, strict=True)
        extra = _encode({name: field for name, field, body_value in columns if field != body_value})
    return state, _encode(raw) if raw else None, extra


def decode(ticket: Ticket, columns: Columns) -> Reply | Outcome:
    """
    The reply or outcome again.

    Raises:
        JournalDamaged: The row makes no sense.
    """
    try:
        return _decode_row(ticket, columns)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        journal_error = JournalDamaged(
            f"the reply of {ticket} makes no sense ({type(error).__name__}: {error}); keep a copy "
            "of this journal, and delete that row of the table replies to have the others"
        )
        journal_error.ticket = ticket
        raise journal_error from error


def _decode_row(ticket: Ticket, columns: Columns) -> Reply | Outcome:
    state, body, extra = columns
    raw: dict[str, Any] = json.loads(body) if body else {}
    extra_fields: dict[str, Any] = json.loads(extra) if extra else {}
    if state == UNRESOLVED:
        if extra_fields["last"]:
            extra_fields["last"]["raw"] = raw
        return from_dict({**extra_fields, "kind": "unresolved", "ticket": str(ticket)})
    codec = _CODECS[state]
    fields = dict(zip(codec.field_names, codec.from_body(raw), strict=True))
    extra_fields |= {
        name: tuple(extra_fields[name]) for name in _TUPLE_FIELDS if name in extra_fields
    }
    return codec.make(ticket=ticket, raw=raw, **(fields | extra_fields))


def _encode_unresolved(outcome: Unresolved) -> Columns:
    record = to_dict(outcome)
    del record["kind"], record["ticket"]
    raw = record["last"].pop("raw") if record["last"] else None
    return UNRESOLVED, _encode(raw) if raw else None, _encode(record)
