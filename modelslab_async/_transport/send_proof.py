"""
Proves that a request never left this machine.

`TrackedBody` records whether the body of a request was read, because a transport cannot send a body
that it has not read. `mark_unsent` marks an error with a note that the request never left.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx

from .._models.errors import ModelsLabError

# The note that `mark_unsent` adds to an error. A note stays when the error is raised again.
_UNSENT_NOTE = "the request had not left this machine"


def mark_unsent(error: BaseException) -> None:
    """Mark a cancellation or a timeout with a note that the request never left this machine."""
    if not is_unsent(error):
        error.add_note(_UNSENT_NOTE)


def is_unsent(error: BaseException) -> bool:
    """Return whether `mark_unsent` was called with this error."""
    return _UNSENT_NOTE in getattr(error, "__notes__", ())


class TrackedBody:
    """
    A request body that records whether it was read.

    If the body was never read, no server has received it. A submit without its body starts no
    work.

    Args:
        data: The bytes of the body.
        check_sendable: Called before the first read. If it raises, the body is never read.

    Attributes:
        closed_error: The class of the error that a read raises after `withdraw`.
        refusal: The error that `check_sendable` raised; None if it has raised none.
    """

    closed_error: type[Exception] = httpx.StreamClosed

    def __init__(self, data: bytes, check_sendable: Callable[[], None] = lambda: None) -> None:
        self._data = data
        self._check_sendable = check_sendable
        self.refusal: ModelsLabError | None = None
        self._was_read = False
        self._is_withdrawn = False

    def __iter__(self) -> Iterator[bytes]:
        yield self._read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._read()

    def withdraw(self) -> bool:
        """
        Refuse every later read of the body. Return whether the request was provably never sent.

        Return False if the body is empty, because a transport need not read an empty body.
        """
        self._is_withdrawn = True
        return bool(self._data) and not self._was_read

    def _read(self) -> bytes:
        if self._is_withdrawn:
            raise self.closed_error
        if not self._was_read:
            try:
                self._check_sendable()
            except ModelsLabError as error:
                self._is_withdrawn, self.refusal = True, error
                raise
        self._was_read = True
        return self._data
