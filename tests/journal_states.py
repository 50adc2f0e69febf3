"""Reads the states of tickets by another connection, from a file or from a database."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import asyncpg

from modelslab_async import Ticket
from modelslab_async._journal.postgres_tables import DEFAULT_SCHEMA

T = TypeVar("T")


def states(path: Path | str) -> dict[str, str]:
    """The states of all tickets of a journal."""
    if isinstance(path, Path):
        with closing(sqlite3.connect(path, timeout=30)) as db:
            return dict(db.execute("SELECT ticket, state FROM overview").fetchall())
    batch = unquote(path.rpartition("&batch=")[2]).replace("'", "''")
    rows = run_sql(path, f"SELECT ticket, state FROM overview WHERE batch = '{batch}'")
    return dict(rows)


def run_sql(path: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements in the schema of journals, and return the rows of the last."""

    async def run(connection: Any) -> list[tuple[Any, ...]]:
        await connection.execute(f'SET search_path = "{DEFAULT_SCHEMA}"')
        rows: list[Any] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return [tuple(row) for row in rows]

    return _run_in_thread(path, run)


def damage_reply(path: Path | str, ticket: Ticket) -> None:
    """Cut the body of the reply to a ticket, as in a damaged journal."""
    _change_reply(path, "UPDATE replies SET body = '{\"cut'", ticket)


def delete_reply(path: Path | str, ticket: Ticket) -> None:
    """Delete the reply to a ticket, as the message about a damaged reply advises."""
    _change_reply(path, "DELETE FROM replies", ticket)


def _change_reply(path: Path | str, change: str, ticket: Ticket) -> None:
    statement = (
        f"{change} WHERE ticket = "
        f"(SELECT max(ticket) FROM tickets WHERE CAST(id AS text) = '{ticket.id}')"
    )
    if isinstance(path, Path):
        with closing(sqlite3.connect(path, timeout=30)) as db, db:
            db.execute(statement)
    else:
        run_sql(path, statement)


def run_script(path: str, script: str) -> None:
    """Run a script of statements."""

    async def run(connection: Any) -> None:
        await connection.execute(script)

    _run_in_thread(path, run)


def _run_in_thread(path: str, run: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Use a connection in another thread, because a test may be in an event loop."""

    async def in_thread() -> T:
        connection = await asyncpg.connect(path.rpartition("&batch=")[0])
        try:
            return await run(connection)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(in_thread())).result()


def dump(path: str) -> str:
    """All that the database holds, of all batches."""
    tables = run_sql(path, f"SELECT tablename FROM pg_tables WHERE schemaname = '{DEFAULT_SCHEMA}'")
    assert tables
    return repr([run_sql(path, f'SELECT * FROM "{table}"') for (table,) in tables])
