"""Turns errors of PostgreSQL into journal errors that say what to do."""

from typing import Any, Final

from attrs import field, frozen

from .._models.journal_errors import (
    JournalError,
    JournalFull,
    JournalLocked,
    JournalReadOnly,
    WrongJournal,
)
from .._postgres.postgres_driver import UnusableAddress, describe_error

# Error codes that mean a lost connection, or a server that accepts no connections now. "08" stands
# for all codes that begin with it: https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOST: Final = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "53300")
# Names of the driver's errors that mean a lost connection. `TargetServerAttributeNotMatched` means
# that no server in the address accepts writes now, for example during a failover.
_NAMES_OF_LOST: Final = ("InterfaceError", "InternalClientError", "TargetServerAttributeNotMatched")
# Error codes that mean: the server rolled back the transaction because of a conflict. The
# transaction is then repeated.
_CONFLICTS: Final = ("40001", "40P01")
# The error code of a server that accepts no writes.
READ_ONLY: Final = "25006"
# The error code for a database role that lacks the right to run a statement.
NO_RIGHT: Final = "42501"

_ERRORS_BY_CODE: Final[dict[str, tuple[type[JournalError], str]]] = {
    "53100": (JournalFull, "there is no room to write; make room on the server's disk"),
    "53200": (JournalFull, "the server has no memory left"),
    NO_RIGHT: (JournalReadOnly, "this role may not do that; see the rights in the documentation"),
    READ_ONLY: (
        JournalReadOnly,
        "this server takes no writes now; it may be a standby, so give the address of its primary",
    ),
    "55P03": (JournalLocked, "another process holds a lock; end it, or try again"),
    "42P01": (
        WrongJournal,
        "a table of this journal is missing; restore the schema, or name another one",
    ),
}
_UNKNOWN_ERROR: Final = (
    JournalError,
    (
        "the journal could not be read or written; see that the server runs, can be reached, and "
        "lets this user use the schema"
    ),
)


class LocalError(Exception):
    """
    Wraps an exception that was not raised by the database or its driver.

    Without this class, an `OSError` of a local file could be mistaken for a lost connection.

    Attributes:
        error: The exception for the caller.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def error_code(error: BaseException) -> str:
    """Return the server's code for an error; "" if the error has none."""
    code: Any = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else ""


def is_lost(error: Exception) -> bool:
    """
    Return whether an error means that the connection may be lost.

    After such an error, it is unknown whether the server has run the statement.
    """
    if code := error_code(error):
        return code.startswith(_LOST)
    # Compare the class name, so that subclasses do not match. An InterfaceError means a closed
    # connection, but its subclasses mean an argument that the driver cannot send.
    is_closed = type(error).__name__ in _NAMES_OF_LOST
    return isinstance(error, (ConnectionError, TimeoutError, EOFError)) or is_closed


def is_conflict(error: Exception) -> bool:
    """Return whether a transaction failed because of a conflict, so that a retry may succeed."""
    # The driver raises this error if a table has changed since a statement was prepared. A retry
    # prepares the statement again.
    is_stale = type(error).__name__ == "InvalidCachedStatementError"
    return error_code(error) in _CONFLICTS or is_stale


@frozen
class ErrorTranslator:
    """
    Turns errors of the server and of the driver into journal errors.

    The original error is not chained, because its message may contain the password.

    Attributes:
        path: The name of the journal for messages.
    """

    _address: str = field(repr=False)
    path: str

    def __call__(self, error: Exception) -> JournalError:
        """Turn an error into a journal error, whose message does not contain the password."""
        error_type, advice = _ERRORS_BY_CODE.get(error_code(error), _UNKNOWN_ERROR)
        detail = describe_error(error, self._address)
        return error_type(f"{advice} (PostgreSQL: {detail})", path=self.path)

    def for_caller(self, error: Exception) -> Exception:
        """
        Turn the error of an operation into the error that the operation's caller gets.

        Errors of the server and of the driver become journal errors. If the caller gave a value
        that cannot be stored, the error is a ValueError. Other errors stay as they are.
        """
        if isinstance(error, LocalError):
            return self.for_caller(error.error)
        if isinstance(error, UnusableAddress):
            return JournalError(str(error), path=self.path)
        if isinstance(error, JournalError):
            error.path = self.path
            return error
        # A code that begins with 22 means that PostgreSQL cannot store a value, such as a string
        # with a NUL character. The driver itself refuses some of these values, with a ValueError.
        if error_code(error).startswith("22"):
            return ValueError(describe_error(error, self._address))
        is_of_driver = type(error).__module__.startswith("asyncpg")
        return self(error) if is_of_driver and not isinstance(error, ValueError) else error
