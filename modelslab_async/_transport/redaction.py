"""Quieting: an error before it leaves the transport, without the keys. It decides nothing else."""

from collections.abc import Iterator

from .._models.errors import ModelsLabError
from .credentials import Credentials


def redacted_error(error: BaseException, credentials: Credentials) -> BaseException:
    """
    The error to raise in the place of one, so that neither it nor what it came from tells a key.

    An error quotes what the other side said, and that may be the key that it was sent. One of ours
    stays what it is, with its texts masked; what it came from stays with it unless that tells a
    key. Any other one that tells a key gives way to a `RuntimeError`, for nobody knows where else
    it keeps its words. A cancellation says what its canceller said, and he is on this side.
    """
    if not isinstance(error, Exception):
        return error
    if isinstance(error, ModelsLabError):
        _redact_attributes(error, credentials)
        if any(_contains_key(each, credentials) for each in _exception_chain(error)):
            error.__cause__ = error.__context__ = None
            error.with_traceback(None)
        return error
    if any(_contains_key(each, credentials) for each in _exception_chain(error)):
        return RuntimeError(f"{type(error).__name__}: {credentials.redact_text(str(error))}")
    return error


def _redact_attributes(error: ModelsLabError, credentials: Credentials) -> None:
    for name, value in vars(error).items():
        setattr(error, name, _redacted_value(value, credentials))
    error.args = tuple(_redacted_value(each, credentials) for each in error.args)


def _redacted_value(value: object, credentials: Credentials) -> object:
    match value:
        case str():
            return credentials.redact_text(value)
        case list():
            # The notes.
            return [_redacted_value(each, credentials) for each in value]
        case _:
            return value


def _contains_key(error: BaseException, credentials: Credentials) -> bool:
    text = f"{error} {error!r} {error.args!r} {getattr(error, '__notes__', '')}"
    return credentials.redact_text(text) != text


def _exception_chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that a traceback shows with it."""
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
