"""The option `--journal`, and the check that its file exists. It never opens the journal."""

from pathlib import Path

import click

journal = click.option(
    "--journal",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default="run.db",
    show_default=True,
    metavar="FILE",
    help="The file that the batch is recorded in.",
)


def require_journal(path: Path, advice: str = "start a batch with `batch run`") -> None:
    """
    Check that the journal's file exists.

    Args:
        path: The file.
        advice: For the error message: what the user can do if the file does not exist.

    Raises:
        click.UsageError: The file does not exist.
    """
    if not path.exists():
        raise click.UsageError(f"there is no journal {path}; {advice}, or name one with --journal")
