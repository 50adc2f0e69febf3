"""
Removes the API keys from an error before the error leaves the transport.

An error may quote a request or a response that contains the key. Crash reporters print the local
variables of a traceback, and such a variable may hold a request with the key.
"""

import asyncio
import pickle
from collections.abc import Iterator
from contextlib import suppress
from traceback import TracebackException, extract_tb

from .._models.errors import ModelsLabError
from .credentials import Credentials

_ORIGIN = "raised in "


def redacted_error(error: BaseException, credentials: Credentials) -> BaseException:
    """
    Return an error without keys, to raise in place of `error`.

    - A cancellation is returned unchanged, because the caller has already redacted its message.
    - In an error of this package, the keys are replaced with "[key]". If a cause of the error
      still contains a key, the cause and the traceback are dropped.
    - If an error of another package contains a key, a `RuntimeError` with a redacted text
      replaces it.
    - If only the local variables in a traceback show a key, the traceback is dropped. If the error
      belongs to another package, a note then says where it was raised. `origin_of` reads this note.
    """
    if isinstance(error, asyncio.CancelledError):
        return error
    is_ours = isinstance(error, ModelsLabError)
    if is_ours:
        _redact_attributes(error, credentials)
    chain = list(_exception_chain(error))
    if any(_contains_key(each, credentials) for each in chain):
        if not is_ours:
            message = f"{type(error).__name__}: {credentials.redact_text(_text_of(error))}"
            return _with_origin_note(RuntimeError(message), origin_of(error))
        error.__cause__ = error.__context__ = None
        error.with_traceback(None)
    elif (is_ours and len(chain) == 1) or _shows_key_in_locals(error, credentials):
        # An error of this package needs no traceback if it has no cause. So drop its traceback
        # without a search for keys.
        origin = origin_of(error)
        for each in chain:
            each.with_traceback(None)
        if not is_ours:
            _with_origin_note(error, origin)
    return error


def origin_of(error: BaseException) -> str:
    """Return where an error was raised, even if its traceback was dropped."""
    for note in getattr(error, "__notes__", ()):
        if note.startswith(_ORIGIN):
            return str(note.removeprefix(_ORIGIN))
    frames = extract_tb(error.__traceback__, limit=-1)
    return f"{frames[0].name} ({frames[0].filename}:{frames[0].lineno})" if frames else "unknown"


def _with_origin_note(error: BaseException, origin: str) -> BaseException:
    error.add_note(f"{_ORIGIN}{origin}")
    return error


def _redact_attributes(error: BaseException, credentials: Credentials) -> None:
    for name, value in vars(error).items():
        setattr(error, name, _redacted_value(value, credentials))
    error.args = tuple(_redacted_value(each, credentials) for each in error.args)


def _redacted_value(value: object, credentials: Credentials) -> object:
    match value:
        case str():
            return credentials.redact_text(value)
        case list():
            # The `__notes__` attribute of an error is a list of strings.
            return [_redacted_value(each, credentials) for each in value]
        case _:
            return value


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 -- a caller's class may have a `__str__` that fails.
        return "(its text cannot be made)"


def _contains_key(error: BaseException, credentials: Credentials) -> bool:
    """Return whether the text, repr, attributes or pickle of an error contains a key."""
    try:
        text = f"{error} {error!r} {error.args!r} {vars(error)!r}"
    except Exception:  # noqa: BLE001 -- the error that its `__repr__` raises may quote the key.
        return True
    # An httpx error holds the request. The `repr` of the request omits the key, but the pickle of
    # the error contains the key.
    if not isinstance(error, ModelsLabError):
        with suppress(Exception):
            text += pickle.dumps(error).decode("latin-1")
    return credentials.redact_text(text) != text


def _shows_key_in_locals(error: BaseException, credentials: Credentials) -> bool:
    """Return whether a traceback of an error or of its causes shows a key in a local variable."""
    try:
        text = "".join(TracebackException.from_exception(error, capture_locals=True).format())
    except Exception:  # noqa: BLE001 -- a local variable has a repr that fails.
        return True
    return credentials.redact_text(text) != text


def _exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and, recursively, its cause, its context and the members of its group."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
