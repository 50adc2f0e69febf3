"""Checks, before a command submits or polls, that files can be saved in the folder of `--out`."""

from pathlib import Path
from tempfile import TemporaryFile

import click


def check_out_folder(folder: Path) -> None:
    """
    Check that a file can be written in a folder. This call blocks on I/O.

    If the folder does not exist, check its nearest existing parent.

    Raises:
        click.UsageError: No file can be written there.
    """
    try:
        existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        # Try to write, because a system may refuse a write although the permissions allow it.
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise click.UsageError(
            f"no file can be saved in {folder}: {error.strerror or error}; "
            "nothing was sent, so give --out another folder"
        ) from None
