"""Defines the rows that a copy transfers, and the interfaces of its source and its target."""

from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from attrs import frozen

from .copy_marks import CopyMark
from .recorded_files import FilePosition

R = TypeVar("R", bound=Sequence[object])
C = TypeVar("C")

# A page ends when it has this many rows, or when the texts in its rows reach `PAGE_BYTES` in total.
# So copying a large journal needs no more memory than copying a small one.
PAGE_ROWS: Final = 1000


class CopiedTicket(NamedTuple):
    """A ticket, its last reply, its row of the input table, and its row of the table `saves`."""

    family: str
    id: str
    added_at: float
    state: int
    completed_at: float | None
    polls: int
    max_lag: float | None
    reply_state: int | None
    body: str | None
    other_fields: str | None
    columns: str | None
    save_state: int | None
    save_completed_at: float | None
    error: str | None
    argument: str | None


class CopiedFile(NamedTuple):
    """A record of a saved file. `family` and `id` identify the file's ticket."""

    family: str
    id: str
    output_index: int
    path: str
    sha256: str
    size: int
    url: str
    is_length_verified: bool
    recorded_at: float
    host: str | None


class CopiedSubmit(NamedTuple):
    """A submit. `family` and `id` identify its ticket; both are None if it has no ticket."""

    track_id: str
    endpoint: str
    payload_hash: str
    recorded_at: float
    columns: str | None
    key: str | None
    named_ticket: str | None
    family: str | None
    id: str | None


@frozen
class Page(Generic[R, C]):
    """
    Some successive rows of a journal.

    Attributes:
        rows: The rows. An empty page means that all rows have been read.
        last: The position of the last row of the page. The next page begins after it.
    """

    rows: Sequence[R]
    last: C


class CopySource(Protocol):
    """The journal that is copied. All pages show the rows as they were when `begin` was called."""

    @property
    def path(self) -> str:
        """The name of the journal, without a password."""
        ...

    async def find_mark(self) -> CopyMark | None:
        """Return the copy mark of the journal; None if it has none."""
        ...

    async def check_idle(self) -> None:
        """Raise `JournalLocked` if a run is active."""
        ...

    async def begin(self, target: str) -> None:
        """
        Begin a transaction that marks the journal. Also prevent other copies of it.

        Until the transaction ends, no run can begin. This method also ends the runs whose lease has
        expired. `roll_back` may not undo that.

        Raises:
            JournalLocked: A run is active, or another process copies this journal.
        """
        ...

    async def ticket_page(self, after: int) -> Page[CopiedTicket, int]:
        """Return the next page of tickets, in the order in which they were added."""
        ...

    async def file_page(self, after: FilePosition) -> Page[CopiedFile, FilePosition]:
        """Return the next page of recorded files, in the order of their tickets."""
        ...

    async def submit_page(self, after: int) -> Page[CopiedSubmit, int]:
        """Return the next page of submits, in the order in which they were recorded."""
        ...

    async def pace_state(self) -> str | None:
        """Return the saved state of the adaptive pace, as JSON; None if no state was saved."""
        ...

    async def commit_mark(self) -> None:
        """Commit the mark, so that no run can begin even if this process is killed."""
        ...

    async def roll_back(self) -> None:
        """Roll back the transaction of `begin`. The mark of an earlier copy stays."""
        ...

    async def finish(self) -> None:
        """Change the mark of the copy, so that it says that the copy is complete."""
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...


class CopyTarget(Protocol):
    """The journal that receives the rows, in one transaction from `begin` to `commit`."""

    @property
    def path(self) -> str:
        """The name of the journal, without a password."""
        ...

    async def has_origin(self, origin: str) -> bool:
        """Return whether the journal with the name `origin` was copied to this journal."""
        ...

    async def is_empty(self) -> bool:
        """Return whether the journal is empty: no tickets, no submits and no copy mark."""
        ...

    async def begin(self) -> None:
        """
        Begin the transaction, and prevent new runs and submits until it ends.

        Raises:
            JournalLocked: Another process copies to or from this journal.
        """
        ...

    async def record_origin(self, origin: str) -> None:
        """
        Record the name of the source.

        Raises:
            JournalLocked: A run is active.
        """
        ...

    async def add_tickets(self, tickets: Sequence[CopiedTicket]) -> None:
        """Add a page of tickets, after the tickets of earlier pages."""
        ...

    async def add_files(self, files: Sequence[CopiedFile]) -> None:
        """Add records of files. The tickets of the files must have been added before."""
        ...

    async def add_submits(self, submits: Sequence[CopiedSubmit]) -> None:
        """Add submits. The tickets of the submits must have been added before."""
        ...

    async def set_pace_state(self, state: str) -> None:
        """Store the state of the adaptive pace."""
        ...

    async def commit(self) -> None:
        """Commit everything since `begin`."""
        ...

    async def roll_back(self) -> None:
        """Undo everything since `begin`."""
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...
