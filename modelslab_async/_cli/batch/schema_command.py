"""The command `batch schema`: prints, but does not run, the SQL that creates a journal's tables."""

import click

from ..._journal.postgres_tables import DEFAULT_SCHEMA, migration_script
from .. import options


@click.command()
@click.option(
    "--schema",
    default=DEFAULT_SCHEMA,
    show_default=True,
    metavar="NAME",
    help="The schema to create them in.",
)
@options.debug
def schema(*, schema: str) -> None:
    """
    Print the SQL that creates the tables in PostgreSQL, or brings older ones up to date.

    A run does so by itself, if its role may create a schema. Otherwise, let the owner of the
    database run these statements once, for example with `modelslab-async batch schema | psql
    DATABASE`.
    """
    click.echo(migration_script(schema), nl=False)
