"""Defines the option `--journal`, whose value is a file or a database, and checks the value."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import click

from ..._journal.journal_files import is_journal_file
from ..._journal.sqlite_path import check_journal_path
from ..._postgres.postgres_address import without_passwords
from .. import output
from ..event_loop import run_async
from ..shared_command_errors import MissingExtra
from ..written_path_type import FileOrAddress

if TYPE_CHECKING:
    from ..._journal.postgres_batch_location import PostgresBatch

JournalLocation: TypeAlias = Path | str
"""The path of a file, or the address of a batch in a database."""

_DEFAULT_JOURNAL: Final = "run.db"


def parse_address(address: str) -> "PostgresBatch":
    """
    Return the batch that a database address names.

    Raises:
        MissingExtra: asyncpg is not installed.
        ValueError: The address is malformed, or names no batch.
    """
    # Imported here, because few commands use a database.
    from ..._journal.postgres_batch_location import PostgresBatch  # noqa: PLC0415

    try:
        return PostgresBatch.parse(address)
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error)) from None


LOCATION: Final = FileOrAddress(check_journal_path, parse_address)
"""The option type of a journal."""

journal = click.option(
    "--journal",
    "path",
    type=LOCATION,
    default=_DEFAULT_JOURNAL,
    show_default=True,
    metavar="FILE",
    help=(
        "The file that the batch is recorded in, or a batch in a database: "
        "'postgresql://host/database?batch=NAME'."
    ),
)


def require_journal(
    path: JournalLocation, advice: str = "start a batch with `batch run` or `batch submit`"
) -> None:
    """
    Check that the journal exists.

    Args:
        path: The file or the address.
        advice: What the user can do if the journal does not exist.

    Raises:
        click.UsageError: The journal does not exist.
        JournalError: The database cannot be used.
    """
    if not run_async(journal_exists, path):
        raise click.UsageError(
            f"there is no journal {shown(path)}; {advice}, or name one with --journal"
        )


def check_not_journal(file: Path, path: JournalLocation, advice: str) -> None:
    """
    Check that the output file of a command is not a file of the journal.

    Args:
        file: The file that the command will write.
        path: The file or the address of the journal.
        advice: What the user can do if the check fails.

    Raises:
        click.UsageError: The file is a file of the journal.
    """
    if isinstance(path, Path) and is_journal_file(file, path):
        raise click.UsageError(f"{file} is a file of the journal; {advice}")


async def journal_exists(path: JournalLocation) -> bool:
    """
    Return whether a journal exists. Create nothing.

    Raises:
        JournalError: The database cannot be used.
    """
    if isinstance(path, Path):
        return path.exists()
    return await parse_address(path).exists()


def shown(path: JournalLocation) -> str:
    """Return the path or the address as text. Passwords are left out."""
    return str(path) if isinstance(path, Path) else without_passwords(path)


def journal_command(path: JournalLocation, *words: str) -> str:
    """Return a command line for a shell, with `--journal` unless the journal is the default one."""
    options = () if str(path) == _DEFAULT_JOURNAL else ("--journal", shown(path))
    return shlex.join([output.PROGRAM, "batch", *words, *options])


def journal_name(path: JournalLocation) -> str:
    """Return the name of the file or of the batch, to show in a title."""
    if isinstance(path, Path):
        return path.name
    return parse_address(path).name
