"""What `kill.py` checks: the outcomes, files and polls of a batch whose workers were killed."""

import asyncio
import hashlib
from contextlib import aclosing
from pathlib import Path

from journal_states import states
from kill_journal import Location

from modelslab_async import Batch, Success, Ticket
from modelslab_async.journal import RecordedFile

# Files of a ticket: two, so that a kill can find one recorded and the other in transfer.
OUTPUTS = 2


def is_failing(number: int) -> bool:
    """Whether the job of a ticket fails."""
    return number % 7 == 0


def lines(folder: Path, pattern: str) -> list[list[str]]:
    """The complete lines of some files, split. A kill may have truncated the last line."""
    texts = [path.read_text() for path in sorted(folder.glob(pattern))]
    return [line.split() for text in texts for line in text.split("\n")[:-1]]


def count_lines(path: Path) -> int:
    """The number of complete lines of a file. It is often asked for, so no line is decoded."""
    return path.read_bytes().count(b"\n")


def check_handed(folder: Path, journal: Location) -> int:
    """Each outcome that was handed out is recorded, and was handed out once."""
    # In this order: the journal already holds every outcome that was handed out before.
    handed = lines(folder, "handed-*")
    if not handed:
        # A worker that is killed early leaves a journal without tables.
        return 0
    recorded = states(journal)
    assert len(handed) == len({ticket for ticket, _ in handed}), "an outcome was handed out twice"
    for ticket, state in handed:
        found = recorded[ticket]
        assert found == state, f"{ticket} was handed out as {state}, recorded as {found}"
    return len(handed)


def check_polls(folder: Path) -> None:
    """A worker that has lost a ticket does not poll it any more."""
    seen: dict[str, list[str]] = {}
    for id_, worker in lines(folder, "polls"):
        workers = seen.setdefault(id_, [])
        if not workers or workers[-1] != worker:
            workers.append(worker)
    for id_, workers in seen.items():
        assert len(workers) == len(set(workers)), f"{id_} was polled alternately by {workers}"


def check_outcomes(folder: Path, journal: Location, tickets: int, *, files: bool) -> int:
    """
    Every ticket has the outcome of its job, with its columns and its files.

    Return the number of files.
    """
    numbers = range(1, tickets + 1)
    expected = {f"images:{n}": "failed" if is_failing(n) else "success" for n in numbers}
    assert expected == states(journal), "not every ticket has its outcome"

    async def main() -> list[RecordedFile]:
        async with Batch.open(journal) as batch:
            async with aclosing(batch.journal.recorded_outcomes()) as records:
                found = [record async for record in records]
            assert {*map(Ticket.parse, expected)} == {each.outcome.ticket for each in found}
            assert tickets == len(found)
            for each in found:
                outcome, id_ = each.outcome, each.outcome.ticket.id
                assert {"row": int(id_)} == each.columns
                is_success = isinstance(outcome, Success)
                assert not is_success or id_ in str(outcome.raw["id"])
                assert (OUTPUTS if is_success and files else 0) == len(each.files)
            successes = sum(not is_failing(n) for n in numbers)
            assert (successes if files else 0) == (await batch.report()).saved
            return [file async for file in batch.journal.all_files()]

    recorded = asyncio.run(main())
    if files:
        check_files(folder, recorded)
    return len(recorded)


def check_file(file: RecordedFile) -> None:
    """A saved file is complete."""
    found = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    assert file.sha256 == found, file.path


def check_files(folder: Path, recorded: list[RecordedFile]) -> None:
    """The files are as they were served, once, and the folder has nothing else."""
    served = {path.rpartition("/")[2]: digest for path, digest in lines(folder, "served")}
    assert [] == lines(folder, "again"), "a recorded file was requested again"
    for file in recorded:
        check_file(file)
        assert file.sha256 == served[file.url.rpartition("/")[2]], file.path
    there = {str(path) for path in (folder / "out").iterdir()}
    assert {file.path for file in recorded} == there, "something else is in the folder"
