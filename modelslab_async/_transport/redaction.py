"""Quieting: an error before it leaves the transport, without the keys. It decides nothing else."""

from collections.abc import Iterator

from .._models.errors import ModelsLabError
from .credentials import Keys


def quieted(error: BaseException, keys: Keys) -> BaseException:
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
        _mask(error, keys)
        if any(_tells(each, keys) for each in _chain(error)):
            error.__cause__ = error.__context__ = None
            error.with_traceback(None)
        return error
    if any(_tells(each, keys) for each in _chain(error)):
        return RuntimeError(f"{type(error).__name__}: {keys.masked_text(str(error))}")
    return error


def _mask(error: ModelsLabError, keys: Keys) -> None:
    for name, value in vars(error).items():
        setattr(error, name, _masked(value, keys))
    error.args = tuple(_masked(each, keys) for each in error.args)


def _masked(value: object, keys: Keys) -> object:
    match value:
        case str():
            return keys.masked_text(value)
        case list():
            # The notes.
            return [_masked(each, keys) for each in value]
        case _:
            return value


def _tells(error: BaseException, keys: Keys) -> bool:
    said = f"{error} {error!r} {error.args!r} {getattr(error, '__notes__', '')}"
    return keys.masked_text(said) != said


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that a traceback shows with it."""
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        each = ahead.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        ahead += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            ahead += each.exceptions
