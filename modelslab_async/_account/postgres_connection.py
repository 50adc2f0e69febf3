"""PostgresConnection: runs single statements, and connects again after an error. It never waits."""

import json
from contextlib import suppress
from typing import Any, Final

from .._models.account_errors import AccountError
from .postgres_address import check_address, passwords, show_address

# The maximum number of seconds for a connection, and for a statement. A client holds the lock of
# the account for about a millisecond. A statement that waits for it fails after eight seconds.
_CONNECT_TIMEOUT_S: Final = 10
_STATEMENT_TIMEOUT_S: Final = 10.0


def require_asyncpg() -> None:
    """
    Make sure that asyncpg can be imported.

    Raises:
        ModuleNotFoundError: It is not installed. The message says what to install.
    """
    try:
        import asyncpg  # noqa: F401, PLC0415 -- an extra.
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ModuleNotFoundError(
            "PostgresAccount needs asyncpg; install it with: pip install "
            '"modelslab-async[postgres]", or pip install asyncpg if you run from a clone',
            name="asyncpg",
        ) from None


def quote_name(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


class PostgresConnection:
    """
    One connection to a server, which is opened by the first statement.

    Args:
        address: The address of the database. It may hold a password.

    Attributes:
        shown: The address without user, password and settings.

    Raises:
        ValueError: The address is malformed.
    """

    def __init__(self, address: str) -> None:
        check_address(address)
        self.address = address
        self.shown = show_address(address)
        self._open: Any = None

    def __repr__(self) -> str:
        return f"PostgresConnection({self.shown!r})"

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """
        Run one statement, and return its rows.

        Raises:
            AccountError: It failed. It may have been carried out all the same.
        """
        return [*await self._run("fetch", statement, *arguments)]

    async def fetch_json(self, statement: str, *arguments: Any) -> Any:
        """
        Run one statement, and return its single value, which is a JSON text.

        Raises:
            AccountError: It failed. It may have been carried out all the same.
        """
        return json.loads(await self._run("fetchval", statement, *arguments))

    async def run_script(self, statements: str) -> None:
        """
        Run statements without arguments.

        Raises:
            AccountError: One failed.
        """
        await self._run("execute", statements)

    async def aclose(self) -> None:
        """Close the connection. It may be used again."""
        connection, self._open = self._open, None
        if connection is not None:
            # What was committed stays. There is nothing left to tell the caller.
            with suppress(Exception):
                await connection.close(timeout=_STATEMENT_TIMEOUT_S)

    async def _run(self, method: str, statement: str, *arguments: Any) -> Any:
        try:
            if self._open is None:
                self._open = await self._connect()
            return await getattr(self._open, method)(
                statement, *arguments, timeout=_STATEMENT_TIMEOUT_S
            )
        except Exception as error:  # noqa: BLE001 -- asyncpg raises errors of many bases.
            failure = self._account_error(error)
        connection, self._open = self._open, None
        if connection is not None:
            # The server may have been in the midst of the statement.
            connection.terminate()
        # Not in the handler: the context of the error could repeat the password.
        raise failure

    async def _connect(self) -> Any:
        import asyncpg  # noqa: PLC0415 -- an extra.

        return await asyncpg.connect(self.address, timeout=_CONNECT_TIMEOUT_S)

    def _account_error(self, error: Exception) -> AccountError:
        detail = f"{type(error).__name__}: {error}".rstrip(": ")
        for password in passwords(self.address):
            detail = detail.replace(password, "***")
        return AccountError(
            "the account cannot be used; see that the server runs, can be reached, and lets this "
            f"user use the schema (PostgreSQL: {detail})",
            path=self.shown,
        )
