"""Batch export: where the outcomes go: into a file, through a link, down a pipe, to the output."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ... import Batch
from ..._journal.exports import Format, form_of
from ..ticket_arguments import STDIN

# The same sign stands for standard input and, where something is written, for standard output.
STDOUT = STDIN


async def write_export(batch: Batch, file: Path, form: Format | None = None) -> int:
    """
    Export, and say in the terms of the command line what is in the way.

    Raises:
        click.UsageError: The file cannot be written.
    """
    try:
        known = form or form_of(str(file))
        if _is_no_file(file):
            return await _poured(batch, file, known)
        return await batch.export(_behind(file), form=known)
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise click.UsageError(f"{file} cannot be written: {fault.strerror or fault}") from None


def _is_no_file(file: Path) -> bool:
    return str(file) == STDOUT or (file.exists() and not file.is_file())


def _behind(file: Path) -> str:
    """What a link leads to: that is replaced, and not the link."""
    return os.path.realpath(file)


async def _poured(batch: Batch, file: Path, form: Format) -> int:
    """Write into what cannot be replaced: standard output, a pipe, a device."""
    with TemporaryDirectory() as folder:
        draft = Path(folder) / f"out.{form}"
        count = await batch.export(draft)
        await asyncio.to_thread(_pour, draft, file)
    return count


def _pour(draft: Path, file: Path) -> None:
    with draft.open("rb") as source:
        if str(file) == STDOUT:
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.flush()
            return
        with file.open("wb") as target:
            shutil.copyfileobj(source, target)
