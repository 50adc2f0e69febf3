"""PostgresConnection: runs SQL statements. After an error, the next statement reconnects."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from .._models.account_errors import AccountError
from .._postgres.postgres_address import check_address, show_address
from .._postgres.postgres_driver import UnusableAddress, connect, describe_error

_logger = logging.getLogger("modelslab_async")

# The timeouts in seconds for connecting and for each statement. If a statement waits for the
# account's lock, the server stops it earlier, after eight seconds.
_CONNECT_TIMEOUT_S: Final = 10
_STATEMENT_TIMEOUT_S: Final = 10.0


class PostgresConnection:
    """
    One connection to a PostgreSQL server. The first statement opens it.

    Args:
        address: The address of the database. It may hold a password.

    Attributes:
        shown: The address without user, password and settings.
        is_listening: Whether the server can send notifications to this client now.

    Raises:
        ValueError: The address is malformed.
    """

    def __init__(self, address: str) -> None:
        check_address(address)
        self.address = address
        self.shown = show_address(address)
        self.is_listening = False
        self._open: Any = None
        self._channel = ""
        self._on_notification: Callable[[], object] = lambda: None
        self._has_warned = False

    def listen(self, channel: str, on_notification: Callable[[], object]) -> None:
        """
        Call `on_notification` for each message on a channel.

        This takes effect when the next connection opens.
        """
        self._channel, self._on_notification = channel, on_notification

    def __repr__(self) -> str:
        return f"PostgresConnection({self.shown!r})"

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """
        Run one statement, and return its rows.

        Raises:
            AccountError: The statement failed. The server may have executed it nevertheless.
        """
        return [*await self._run("fetch", statement, *arguments)]

    async def fetch_json(self, statement: str, *arguments: Any) -> Any:
        """
        Run one statement that returns a single JSON string, and return the decoded value.

        Raises:
            AccountError: The statement failed. The server may have executed it nevertheless.
        """
        return json.loads(await self._run("fetchval", statement, *arguments))

    async def run_script(self, statements: str) -> None:
        """
        Run several statements without arguments.

        Raises:
            AccountError: A statement failed.
        """
        await self._run("execute", statements)

    async def aclose(self) -> None:
        """Close the connection. The next statement opens it again."""
        connection, self._open = self._open, None
        self.is_listening = False
        if connection is not None:
            # Everything is committed already, so a failed close loses nothing.
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
        self.is_listening = False
        if connection is not None:
            # Terminate the connection, because a normal close could wait for the failed statement.
            connection.terminate()
        # Raise outside the `except` block. Otherwise `__context__` would hold the original error,
        # whose message could contain the password.
        raise failure

    async def _connect(self) -> Any:
        connection = await connect(self.address, timeout=_CONNECT_TIMEOUT_S)
        if self._channel:
            try:
                await self._start_listening(connection)
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def _start_listening(self, connection: Any) -> None:
        # Do not listen through a connection pooler such as PgBouncer, because poolers lose
        # notifications. A pooler is in use if the id of the server process that runs this query
        # differs from the id received when the connection opened.
        pid = await connection.fetchval("SELECT pg_backend_pid()", timeout=_STATEMENT_TIMEOUT_S)
        if pid == connection.get_server_pid():
            async with asyncio.timeout(_STATEMENT_TIMEOUT_S):
                await connection.add_listener(self._channel, lambda *_: self._on_notification())
            self.is_listening = True
        elif not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "%s is reached through a pooler, so it cannot tell this client when a slot is "
                "free; the client asks 50 times a second while a submit waits",
                self.shown,
            )

    def _account_error(self, error: Exception) -> AccountError:
        if isinstance(error, UnusableAddress):
            return AccountError(str(error), path=self.shown)
        detail = describe_error(error, self.address)
        return AccountError(
            "the account cannot be used; see that the server runs, can be reached, and lets this "
            f"user use the schema (PostgreSQL: {detail})",
            path=self.shown,
        )
