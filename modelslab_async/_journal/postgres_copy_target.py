"""PostgresCopyTarget: writes a copied journal to a batch in PostgreSQL, in one transaction."""

from collections.abc import Sequence
from typing import Any, Final

from .._models.journal_errors import JournalError
from . import postgres_copy_marks as copy_marks
from .copy_marks import ENDLESS_LEASE
from .copy_rows import CopiedFile, CopiedSubmit, CopiedTicket
from .postgres_context import PostgresContext
from .postgres_copy_connection import PostgresCopyConnection
from .postgres_copy_source import check_idle
from .postgres_statement_rows import in_statements, transposed
from .schema import UNRESOLVED

_HAS_ROWS: Final = """
SELECT EXISTS (SELECT FROM tickets WHERE batch = $1)
    OR EXISTS (SELECT FROM submits WHERE batch = $1)
    OR EXISTS (SELECT FROM runs WHERE batch = $1 AND lease_until IS NOT NULL AND lease_until = $2)
"""
# The tickets get new numbers, because all batches share one sequence of ticket numbers.
_ADD_TICKETS: Final = """
INSERT INTO tickets (batch, family, id, added_at) SELECT $1, family, id, added_at
FROM unnest($2::text[], $3::text[], $4::float8[]) WITH ORDINALITY
    AS given (family, id, added_at, n)
ORDER BY n RETURNING ticket, family, id
"""
_ADD_UNFINISHED: Final = """
INSERT INTO unfinished (batch, state, run, ticket)
SELECT $1, state, 0, ticket FROM unnest($2::bigint[], $3::smallint[]) AS given (ticket, state)
"""
_ADD_REPLIES: Final = """
INSERT INTO replies (batch, ticket, completed_at, polls, max_lag, state, body, other_fields)
SELECT $1, given.* FROM unnest(
    $2::bigint[], $3::float8[], $4::integer[], $5::float8[], $6::smallint[], $7::text[], $8::text[]
) AS given
"""
_ADD_COLUMNS: Final = """
INSERT INTO inputs (batch, ticket, columns)
SELECT $1, given.* FROM unnest($2::bigint[], $3::text[]) AS given
"""
_ADD_SAVES: Final = """
INSERT INTO saves (batch, ticket, state, completed_at, error, argument)
SELECT $1, given.* FROM unnest(
    $2::bigint[], $3::smallint[], $4::float8[], $5::text[], $6::text[]
) AS given
"""
# Finds the number of a ticket in this batch. `OFFSET 0` makes the server look up each ticket in the
# index, instead of reading all tickets of the batch.
_KNOWN: Final = """
LATERAL (
    SELECT ticket FROM tickets WHERE batch = $1 AND family = given.family AND id = given.id OFFSET 0
) AS known
"""
_ADD_FILES: Final = f"""
INSERT INTO files (
    batch, ticket, output_index, path, sha256, size, url, is_length_verified, recorded_at, host
)
SELECT $1, known.ticket, output_index, path, sha256, size, url, is_length_verified, recorded_at,
    host
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::bigint[], $8::text[],
    $9::boolean[], $10::float8[], $11::text[]
) AS given (
    family, id, output_index, path, sha256, size, url, is_length_verified, recorded_at, host
) CROSS JOIN {_KNOWN}
"""
_ADD_SUBMITS: Final = f"""
INSERT INTO submits (
    batch, track_id, endpoint, payload_hash, recorded_at, columns, key, named_ticket, ticket
)
SELECT $1, track_id, endpoint, payload_hash, recorded_at, columns, key, named_ticket, known.ticket
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::float8[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[]
) WITH ORDINALITY AS given (
    track_id, endpoint, payload_hash, recorded_at, columns, key, named_ticket, family, id, n
) LEFT JOIN {_KNOWN} ON true
ORDER BY n
"""
_SET_PACE: Final = """
INSERT INTO pace_state (batch, state) VALUES ($1, $2)
ON CONFLICT (batch) DO UPDATE SET state = excluded.state
"""


class PostgresCopyTarget:
    """
    See `CopyTarget`.

    Attributes:
        path: The name of the journal: the hosts, the database and the batch.
    """

    def __init__(self, address: str) -> None:
        self._connection = PostgresCopyConnection(address)
        self.path = self._connection.path

    async def has_origin(self, origin: str) -> bool:
        """See `CopyTarget.has_origin`."""
        return await self._connection.run(lambda db: copy_marks.has_origin(db, origin))

    async def is_empty(self) -> bool:
        """See `CopyTarget.is_empty`."""
        ((has_rows,),) = await self._fetch(_HAS_ROWS, ENDLESS_LEASE)
        return not has_rows

    async def begin(self) -> None:
        """See `CopyTarget.begin`."""
        await self._connection.begin()
        # The lock prevents new submits in the target until the commit. Without it, another process
        # could send the same submit again, because it cannot see the copied record of this submit
        # yet.
        await self._connection.run(copy_marks.keep_runs_out)

    async def record_origin(self, origin: str) -> None:
        """See `CopyTarget.record_origin`."""

        async def record(db: PostgresContext) -> None:
            await check_idle(db)
            await copy_marks.record_origin(db, origin)

        await self._connection.run(record)

    async def add_tickets(self, tickets: Sequence[CopiedTicket]) -> None:
        """See `CopyTarget.add_tickets`."""
        for each in tickets:
            self._check_storable(f"{each.family}:{each.id}", each)
        added = await self._insert(
            _ADD_TICKETS, [(each.family, each.id, each.added_at) for each in tickets]
        )
        numbers = {(family, id_): number for number, family, id_ in added}
        numbered = [(numbers[each.family, each.id], each) for each in tickets]
        await self._insert(
            _ADD_UNFINISHED,
            [(number, each.state) for number, each in numbered if each.state <= UNRESOLVED],
        )
        await self._insert(
            _ADD_REPLIES,
            [
                (
                    *(number, each.completed_at, each.polls, each.max_lag),
                    *(each.reply_state, each.body, each.other_fields),
                )
                for number, each in numbered
                if each.polls or each.reply_state is not None
            ],
        )
        await self._insert(
            _ADD_COLUMNS, [(number, each.columns) for number, each in numbered if each.columns]
        )
        await self._insert(
            _ADD_SAVES,
            [
                (number, each.save_state, each.save_completed_at, each.error, each.argument)
                for number, each in numbered
                if each.save_state is not None
            ],
        )

    async def add_files(self, files: Sequence[CopiedFile]) -> None:
        """See `CopyTarget.add_files`."""
        for each in files:
            self._check_storable(f"{each.family}:{each.id}", each)
        await self._insert(
            _ADD_FILES,
            [each._replace(is_length_verified=bool(each.is_length_verified)) for each in files],
        )

    async def add_submits(self, submits: Sequence[CopiedSubmit]) -> None:
        """See `CopyTarget.add_submits`."""
        for each in submits:
            self._check_storable(f"submit {each.track_id}", each)
        await self._insert(_ADD_SUBMITS, submits)

    async def set_pace_state(self, state: str) -> None:
        """See `CopyTarget.set_pace_state`."""
        await self._fetch(_SET_PACE, state)

    async def commit(self) -> None:
        """See `CopyTarget.commit`."""
        await self._connection.commit()

    async def roll_back(self) -> None:
        """See `CopyTarget.roll_back`."""
        await self._connection.roll_back()

    async def aclose(self) -> None:
        """See `CopyTarget.aclose`."""
        await self._connection.aclose()

    def _check_storable(self, name: str, row: CopiedTicket | CopiedFile | CopiedSubmit) -> None:
        """
        Check that PostgreSQL can store the texts of a row.

        Raises:
            JournalError: A text contains a NUL character. The error shows `name`.
        """
        for column, value in zip(row._fields, row, strict=True):
            if isinstance(value, str) and "\0" in value:
                raise JournalError(
                    f"the {column} of {name!r} has a NUL character, which PostgreSQL cannot store; "
                    "remove it from the source, or copy to a file",
                    path=self.path,
                )

    async def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run a statement with the columns of `rows` as arguments. Return the result rows."""
        returned: list[Any] = []
        for part in in_statements(rows):
            returned += await self._fetch(statement, *transposed(part))
        return returned

    async def _fetch(self, statement: str, *arguments: Any) -> Sequence[Any]:
        try:
            return await self._connection.run(lambda db: db.fetch(statement, *arguments))
        except ValueError as error:
            reason = f"{error!s:.200}"
        raise JournalError(
            f"PostgreSQL cannot store a value of the source: {reason}", path=self.path
        )
