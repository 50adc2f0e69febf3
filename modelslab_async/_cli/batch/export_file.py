"""Batch export: where the outcomes go: into a file, through a link, down a pipe, to the output."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ... import Batch
from ..._journal.exports import ExportFormat, format_from_path
from ..ticket_arguments import STDIN

# The same sign stands for standard input and, where something is written, for standard output.
STDOUT = STDIN


async def write_export(batch: Batch, file: Path, file_format: ExportFormat | None = None) -> int:
    """
    Export, and say in the terms of the command line what is in the way.

    Raises:
        click.UsageError: The file cannot be written.
    """
    try:
        export_format = file_format or format_from_path(str(file))
        if _is_stream(file):
            return await _export_to_stream(batch, file, export_format)
        return await batch.export(_resolve_link(file), file_format=export_format)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror or error}") from None


def _is_stream(file: Path) -> bool:
    return str(file) == STDOUT or (file.exists() and not file.is_file())


def _resolve_link(file: Path) -> str:
    """What a link leads to: that is replaced, and not the link."""
    return os.path.realpath(file)


async def _export_to_stream(batch: Batch, file: Path, file_format: ExportFormat) -> int:
    """Write into what cannot be replaced: standard output, a pipe, a device."""
    with TemporaryDirectory() as folder:
        draft = Path(folder) / f"out.{file_format}"
        count = await batch.export(draft)
        await asyncio.to_thread(_copy_to_stream, draft, file)
    return count


def _copy_to_stream(draft: Path, file: Path) -> None:
    with draft.open("rb") as source:
        if str(file) == STDOUT:
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.flush()
            return
        with file.open("wb") as target:
            shutil.copyfileobj(source, target)
