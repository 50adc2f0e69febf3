"""The command `batch schema`: prints the SQL that creates or updates a journal's tables."""

import click

from ..._journal.postgres_tables import DEFAULT_SCHEMA, migration_script
from .. import options
from ..written_path_type import written_name


@click.command()
@click.option(
    "--schema",
    type=written_name,
    default=DEFAULT_SCHEMA,
    show_default=True,
    metavar="NAME",
    help="The schema to create them in.",
)
@options.debug
def schema(*, schema: str) -> None:
    """
    Print the SQL that creates the tables in PostgreSQL, or brings older ones up to date.

    A run executes these statements by itself, if its role may create a schema and owns the older
    tables. Otherwise, let the owner of the database run them once, for example with
    `modelslab-async batch schema | psql DATABASE`.
    """
    click.echo(migration_script(schema), nl=False)
