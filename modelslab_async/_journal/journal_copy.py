"""Copies a journal to another store, and marks the source, so that no run begins in the source."""

import os
from contextlib import AsyncExitStack

from .._models.journal_errors import JournalError, WrongJournal
from .._postgres.postgres_address import is_address
from .copy_rows import CopySource, CopyTarget
from .recorded_files import FilePosition
from .sqlite_copy_source import SqliteCopySource
from .sqlite_copy_target import SqliteCopyTarget
from .sqlite_path import check_journal_path


async def copy_journal(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> bool:
    """
    Copy a journal to an empty journal. Mark the source, so that no new run can begin in it.

    The target gets all rows in one transaction. If a call fails before it commits the mark, both
    journals keep their rows, but the call may have ended runs of the source whose lease had
    expired. If a call was interrupted, even by a crash, repeat it with the same arguments. While
    this function reads or writes an SQLite file, it blocks the event loop.

    Returns:
        True if this call copied the journal; False if an earlier call had already copied all of it.

    Raises:
        JournalLocked: A run is active in one of the two journals, or another process is copying
            one of them.
        JournalError: A store cannot be used, the target has other rows, or the source was copied
            to another journal.
        ValueError: A path or an address is malformed.
        ModuleNotFoundError: asyncpg is not installed.
    """
    async with AsyncExitStack() as stack:
        copy_source = _open_source(source)
        stack.push_async_callback(copy_source.aclose)
        await copy_source.check_idle()
        copy_target = _open_target(target)
        stack.push_async_callback(copy_target.aclose)
        # Check this before locking the target. If an earlier call has copied all rows, runs may be
        # active in the target, and this call does not need the lock.
        was_copied = await _is_copied(copy_source, copy_target)
        try:
            await copy_source.begin(copy_target.path)
            if not was_copied:
                was_copied = not await _copy_uncommitted(copy_source, copy_target)
            # The mark must be on the disk before the rows of the target are. Otherwise runs could
            # begin in both journals after a crash between the two commits.
            await copy_source.commit_mark()
        except BaseException:
            await copy_target.roll_back()
            await copy_source.roll_back()
            raise
        # From here on, keep the mark even after an error. If the connection is lost during the
        # commit, this call cannot know whether the rows were committed. The next call finds out.
        if was_copied:
            await copy_target.roll_back()
        else:
            await copy_target.commit()
        await copy_source.finish()
        return not was_copied


def _open_source(path: str | os.PathLike[str]) -> CopySource:
    if is_address(path):
        # Imported here, because few programs use a database.
        from .postgres_copy_source import PostgresCopySource  # noqa: PLC0415

        return PostgresCopySource(path)
    return SqliteCopySource(_absolute(path))


def _open_target(path: str | os.PathLike[str]) -> CopyTarget:
    if is_address(path):
        from .postgres_copy_target import PostgresCopyTarget  # noqa: PLC0415 -- as above.

        return PostgresCopyTarget(path)
    return SqliteCopyTarget(_absolute(path))


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(check_journal_path(path))  # noqa: PTH100 -- it keeps links.


async def _is_copied(source: CopySource, target: CopyTarget) -> bool:
    """
    Return whether an earlier call has committed the copy of this source to this target.

    Raises:
        JournalReadOnly: The source was copied to another journal. Or the source is marked as
            completely copied to this target, but the target is empty and has no record of the copy.
        WrongJournal: The target has rows that are not a copy of the source.
    """
    mark = await source.find_mark()
    if mark is not None and mark.target != target.path:
        raise _with_path(mark.refusal(), source.path)
    if await target.is_empty():
        if mark is None or not mark.is_complete:
            # Return False even if the target records a copy of this source. The source may have
            # been empty at that time, and may have rows now.
            return False
        if await target.has_origin(source.path):
            return True
        raise _with_path(mark.refusal(), source.path)
    if mark is not None and await target.has_origin(source.path):
        return True
    await _check_empty(target)
    return False


async def _copy_uncommitted(source: CopySource, target: CopyTarget) -> bool:
    """
    Copy all rows in a transaction of the target, but do not commit it.

    Call the source's `begin` first.

    Returns:
        False if another call has copied the journal while this call waited for a lock.
    """
    await target.begin()
    if await _is_copied(source, target):
        return False
    await target.record_origin(source.path)
    await _copy_rows(source, target)
    return True


async def _check_empty(target: CopyTarget) -> None:
    if not await target.is_empty():
        raise WrongJournal(
            "this journal has rows already, and was left as it is; copy to a new file, or to a "
            "batch of another name",
            path=target.path,
        )


def _with_path(error: JournalError, path: str) -> JournalError:
    error.path = path
    return error


async def _copy_rows(source: CopySource, target: CopyTarget) -> None:
    tickets = await source.ticket_page(0)
    while tickets.rows:
        await target.add_tickets(tickets.rows)
        tickets = await source.ticket_page(tickets.last)
    files = await source.file_page(FilePosition(0, -1))
    while files.rows:
        await target.add_files(files.rows)
        files = await source.file_page(files.last)
    submits = await source.submit_page(0)
    while submits.rows:
        await target.add_submits(submits.rows)
        submits = await source.submit_page(submits.last)
    if (pace_state := await source.pace_state()) is not None:
        await target.set_pace_state(pace_state)
