"""The group `batch`: runs that can be killed at any moment, and what can be asked of them."""

import click

from .. import options
from ..report.command import report
from .journal_commands import export, status, verify
from .run_commands import retry, run


@click.group()
@options.debug
def batch() -> None:
    """
    Run many tickets with a journal: a file that survives whatever ends the program.

    `batch run ids.txt --journal run.db --out folder` does all; the same command goes on later.
    """


for _command in (run, status, retry, export, verify, report):
    batch.add_command(_command)
