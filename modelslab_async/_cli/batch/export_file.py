"""Writes the outcomes of a batch to a file, a pipe or standard output. Follows symbolic links."""

import asyncio
import importlib
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ... import Batch
from ..._journal.exports import ExportFormat, format_from_path
from ..shared_command_errors import missing_pyarrow
from ..standard_input import STDIN

# `-` means standard input for a command that reads, and standard output for a command that writes.
STDOUT = STDIN


async def write_export(batch: Batch, file: Path, file_format: ExportFormat | None = None) -> int:
    """
    Write all outcomes to a file, and return their number.

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
        raise _cannot_write(file, error.strerror or str(error)) from None


def check_export_format(file: Path, *, advice: str) -> ExportFormat:
    """
    Return the export format for the extension of a file name, such as CSV for `.csv`.

    Args:
        file: The file.
        advice: How the user can choose a format, for the error message.

    Raises:
        click.UsageError: The extension is missing or unknown.
        MissingExtra: The format needs a package that is not installed.
    """
    try:
        export_format = format_from_path(str(file))
    except ValueError:
        raise click.UsageError(
            f"the file name {str(file)!r} does not say the format of an export; {advice}"
        ) from None
    if export_format == "parquet":
        try:
            importlib.import_module("pyarrow")
        except ModuleNotFoundError:
            raise missing_pyarrow("an export as Parquet") from None
    return export_format


def check_export_file(file: Path) -> None:
    """
    Check before a long run that an export can be written. Create no file.

    Raises:
        click.UsageError: The file cannot be written.
    """
    folder = Path(_resolve_link(file)).parent
    if not folder.is_dir():
        raise _cannot_write(file, f"there is no folder {folder}")
    if not os.access(file if _is_stream(file) else folder, os.W_OK):
        raise _cannot_write(file, "permission denied")


def is_same_file(export: Path, source: Path) -> bool:
    """Whether an export would overwrite the file that the command reads."""
    return source.is_file() and export.exists() and export.samefile(source)


def _cannot_write(file: Path, reason: str) -> click.UsageError:
    return click.UsageError(f"{file} cannot be written: {reason}")


def _is_stream(file: Path) -> bool:
    return str(file) == STDOUT or (file.exists() and not file.is_file())


def _resolve_link(file: Path) -> str:
    """Follow a symbolic link, so that the export replaces the link's target and not the link."""
    return os.path.realpath(file)


async def _export_to_stream(batch: Batch, file: Path, file_format: ExportFormat) -> int:
    """Export to a temporary file, then copy this file to standard output, a pipe or a device."""
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
