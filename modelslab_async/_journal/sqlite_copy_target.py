"""SqliteCopyTarget: writes a copied journal to a file, in one transaction."""

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from .._models.ticket import Ticket
from . import copy_marks
from .copy_rows import CopiedFile, CopiedSubmit, CopiedTicket
from .sqlite_copy_file import SqliteCopyFile
from .sqlite_copy_source import check_idle
from .ticket_id_codec import compact_id, family_ids

_HAS_ROWS: Final = (
    "SELECT EXISTS (SELECT 1 FROM tickets) OR EXISTS (SELECT 1 FROM submits) "
    "OR EXISTS (SELECT 1 FROM runs WHERE lease_until = ?)"
)
_ADD_TICKET: Final = (
    "INSERT INTO tickets (ticket, family, id, added_at, state, completed_at, polls, max_lag) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_REPLY: Final = "INSERT INTO replies (ticket, state, body, other_fields) VALUES (?, ?, ?, ?)"
_ADD_COLUMNS: Final = "INSERT INTO inputs (ticket, columns) VALUES (?, ?)"
_ADD_SAVE: Final = (
    "INSERT INTO saves (ticket, state, completed_at, error, argument) VALUES (?, ?, ?, ?, ?)"
)
_TICKET: Final = "(SELECT ticket FROM tickets WHERE family = ? AND id = ?)"
_ADD_FILE: Final = (
    "INSERT INTO files (ticket, output_index, path, sha256, size, url, is_length_verified, "
    f"recorded_at, host) VALUES ({_TICKET}, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_SUBMIT: Final = (
    "INSERT INTO submits (track_id, endpoint, payload_hash, recorded_at, columns, key, "
    f"named_ticket, state, ticket) VALUES (?, ?, ?, ?, ?, ?, ?, ?, {_TICKET})"
)


class SqliteCopyTarget:
    """
    See `CopyTarget`.

    Attributes:
        path: The path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = SqliteCopyFile(path)
        self._family_ids: dict[str, int] = {}
        self._last_ticket = 0

    async def has_origin(self, origin: str) -> bool:
        """See `CopyTarget.has_origin`."""
        return self._file.run(lambda db: copy_marks.has_origin(db, origin))

    async def is_empty(self) -> bool:
        """See `CopyTarget.is_empty`."""
        (has_rows,) = self._file.run(
            lambda db: db.execute(_HAS_ROWS, (copy_marks.ENDLESS_LEASE,)).fetchone()
        )
        return not has_rows

    async def begin(self) -> None:
        """See `CopyTarget.begin`."""
        self._file.begin()

    async def record_origin(self, origin: str) -> None:
        """See `CopyTarget.record_origin`."""

        def record(db: sqlite3.Connection) -> None:
            check_idle(db)
            copy_marks.record_origin(db, origin, now=time.time())

        self._file.run(record)

    async def add_tickets(self, tickets: Sequence[CopiedTicket]) -> None:
        """See `CopyTarget.add_tickets`."""
        numbered = [*enumerate(tickets, self._last_ticket + 1)]
        self._last_ticket += len(tickets)

        def add(db: sqlite3.Connection) -> None:
            self._family_ids |= family_ids(db, {each.family for each in tickets})
            db.executemany(
                _ADD_TICKET,
                [
                    (
                        *(number, *self._key(each.family, each.id), each.added_at, each.state),
                        *(each.completed_at, each.polls, each.max_lag),
                    )
                    for number, each in numbered
                ],
            )
            db.executemany(
                _ADD_REPLY,
                [
                    (number, each.reply_state, each.body, each.other_fields)
                    for number, each in numbered
                    if each.reply_state is not None
                ],
            )
            db.executemany(
                _ADD_COLUMNS, [(number, each.columns) for number, each in numbered if each.columns]
            )
            db.executemany(
                _ADD_SAVE,
                [
                    (number, each.save_state, each.save_completed_at, each.error, each.argument)
                    for number, each in numbered
                    if each.save_state is not None
                ],
            )

        self._file.run(add)

    async def add_files(self, files: Sequence[CopiedFile]) -> None:
        """See `CopyTarget.add_files`."""
        rows = [(*self._key(each.family, each.id), *each[2:]) for each in files]
        self._file.run(lambda db: db.executemany(_ADD_FILE, rows))

    async def add_submits(self, submits: Sequence[CopiedSubmit]) -> None:
        """See `CopyTarget.add_submits`."""
        rows: list[tuple[object, ...]] = []
        for each in submits:
            *columns, family, id_ = each
            if family is None or id_ is None:
                rows.append((*columns, "uncertain", None, None))
            else:
                rows.append((*columns, "confirmed", *self._key(family, id_)))
        self._file.run(lambda db: db.executemany(_ADD_SUBMIT, rows))

    def _key(self, family: str, id_: str) -> tuple[int, int | str]:
        """Return the columns `family` and `id` of a ticket."""
        return self._family_ids[family], compact_id(Ticket(family, id_))

    async def set_pace_state(self, state: str) -> None:
        """See `CopyTarget.set_pace_state`."""
        self._file.run(
            lambda db: db.execute("REPLACE INTO pace_state (id, state) VALUES (1, ?)", (state,))
        )

    async def commit(self) -> None:
        """See `CopyTarget.commit`."""
        self._file.commit()

    async def roll_back(self) -> None:
        """See `CopyTarget.roll_back`."""
        self._file.roll_back()

    async def aclose(self) -> None:
        """See `CopyTarget.aclose`."""
        self._file.close()
