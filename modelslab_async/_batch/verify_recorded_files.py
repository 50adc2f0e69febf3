"""Compares a journal's records of files with the files on this host."""

import os
from collections import defaultdict
from pathlib import Path

from attrs import evolve

from .._aio.threads import run_in_thread
from .._downloads.downloads_arguments import check_folder
from .._downloads.verify_saved_files import Verified, path_in, verify
from .._journal.host_name import this_host
from .._journal.recorded_files import RecordedFile
from .._models.saved_file import SavedFile
from ..journal import Journal
from .poll_and_save_run import to_saved_file


def other_host(journal: Journal, record: RecordedFile) -> str | None:
    """
    Return the name of the host that saved a file; None if this host saved it.

    A journal in a file belongs to one machine. If a record in it has another host name, this
    machine was renamed, so the result is None.
    """
    return record.host if journal.spans_hosts and record.host != this_host() else None


async def verify_recorded_files(
    journal: Journal, folder: str | os.PathLike[str] | None
) -> Verified:
    """
    Compare the recorded files with those on disk. See `Batch.verify`.

    A file that another host saved and that this host does not find counts as `elsewhere`, not as
    changed or missing.

    Raises:
        TypeError: The folder is neither a path nor None.
        ValueError: The folder is an empty string.
    """
    check_folder("folder", folder)
    hosts: dict[SavedFile, str] = {}
    files: list[SavedFile] = []
    async for record in journal.all_files():
        files.append(file := to_saved_file(record))
        if (host := other_host(journal, record)) is not None:
            hosts[file] = host
    path = None if folder is None else Path(folder)
    found = await verify(path, files)
    changed: list[SavedFile] = []
    missing: list[SavedFile] = []
    elsewhere: defaultdict[str, list[SavedFile]] = defaultdict(list)
    for file in found.changed:
        # `exists` also returns False if this process may not enter the folder. A file of another
        # host then counts as `elsewhere`, because it may never have been in this folder.
        is_here = file not in hosts or await run_in_thread(os.path.exists, path_in(path, file))
        (changed if is_here else elsewhere[hosts[file]]).append(file)
    for file in found.missing:
        (elsewhere[hosts[file]] if file in hosts else missing).append(file)
    unreadable = {file: found.unreadable[file] for file in changed if file in found.unreadable}
    return evolve(
        found,
        changed=tuple(changed),
        unreadable=unreadable,
        missing=tuple(missing),
        elsewhere={host: tuple(files) for host, files in elsewhere.items()},
    )
