"""Coding: replies and outcomes as the columns of a row, without loss and without repetition."""

import json
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias

from attrs import frozen

from .._models.errors import JournalDamaged
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Failed, Processing, Reply, Success
from .._models.serialization import from_dict, to_dict
from .._models.ticket import Ticket
from .._parsing.json_body import number
from .schema import FAILED, OPEN, SUCCESS, UNRESOLVED

Columns: TypeAlias = tuple[int, str | None, str | None]


def _texts(value: object) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _said_processing(raw: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        _text(raw.get("status")) or "processing",
        number(raw.get("eta")),
        _text(raw.get("message")),
        _texts(raw.get("future_links")),
        _text(raw.get("fetch_result")) or None,
    )


def _said_success(raw: Mapping[str, Any]) -> tuple[object, ...]:
    meta = raw.get("meta")
    return (
        _texts(raw.get("output")),
        _texts(raw.get("proxy_links")),
        number(raw.get("generationTime")),
        _text(raw.get("message")),
        None,
        meta if isinstance(meta, dict) else {},
    )


def _said_failed(raw: Mapping[str, Any]) -> tuple[object, ...]:
    return _text(raw.get("message")), "failed"


@frozen
class _Kind:
    """
    How one kind of reply is written.

    What a body says in the usual place is not written a second time; anything else is.
    """

    make: Callable[..., Processing | Success | Failed]
    names: tuple[str, ...]
    said: Callable[[Mapping[str, Any]], tuple[object, ...]]
    fields: Callable[[object], tuple[object, ...]]


def _kind(
    make: Callable[..., Processing | Success | Failed],
    said: Callable[[Mapping[str, Any]], tuple[object, ...]],
    *names: str,
) -> _Kind:
    return _Kind(make, names, said, attrgetter(*names))


_KINDS: Final[Mapping[int, _Kind]] = {
    OPEN: _kind(
        *(Processing, _said_processing),
        *("status", "eta", "message", "future_links", "fetch_result"),
    ),
    SUCCESS: _kind(
        *(Success, _said_success),
        *("output", "proxy_links", "generation_time", "message", "nsfw", "meta"),
    ),
    FAILED: _kind(Failed, _said_failed, "message", "reason"),
}
_STATES: Final[Mapping[type, int]] = {Processing: OPEN, Success: SUCCESS, Failed: FAILED}
_TUPLES: Final = ("output", "proxy_links", "future_links")

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encode(value: Reply | Outcome) -> Columns:
    """The state that a reply or an outcome stands for, the server's body, and what is not in it."""
    if isinstance(value, Unresolved):
        return _encode_unresolved(value)
    state = _STATES[type(value)]
    kind, raw = _KINDS[state], value.raw
    fields, said = kind.fields(value), kind.said(raw)
    rest = None
    if fields != said:
        columns = zip(kind.names, fields, said, strict=True)
        rest = _encode({name: field for name, field, same in columns if field != same})
    return state, _encode(raw) if raw else None, rest


def decode(ticket: Ticket, columns: Columns) -> Reply | Outcome:
    """
    The reply or outcome again.

    Raises:
        JournalDamaged: The row makes no sense.
    """
    try:
        return _decoded(ticket, columns)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        damaged = JournalDamaged(
            f"the reply of {ticket} makes no sense ({type(error).__name__}: {error}); keep a copy "
            "of this journal, and delete that row of the table replies to have the others"
        )
        damaged.ticket = ticket
        raise damaged from error


def _decoded(ticket: Ticket, columns: Columns) -> Reply | Outcome:
    state, body, rest = columns
    raw: dict[str, Any] = json.loads(body) if body else {}
    more: dict[str, Any] = json.loads(rest) if rest else {}
    if state == UNRESOLVED:
        if more["last"]:
            more["last"]["raw"] = raw
        return from_dict({**more, "kind": "unresolved", "ticket": str(ticket)})
    kind = _KINDS[state]
    fields = dict(zip(kind.names, kind.said(raw), strict=True))
    more |= {name: tuple(more[name]) for name in _TUPLES if name in more}
    return kind.make(ticket=ticket, raw=raw, **(fields | more))


def _encode_unresolved(outcome: Unresolved) -> Columns:
    record = to_dict(outcome)
    del record["kind"], record["ticket"]
    raw = record["last"].pop("raw") if record["last"] else None
    return UNRESOLVED, _encode(raw) if raw else None, _encode(record)
