"""The command `families`: lists the API families that the registry knows."""

import click
from rich.text import Text

from .. import FAMILIES, Family
from . import options, output
from .argument_completers import complete_family
from .ticket_arguments import find_family

_COLUMNS = ("name", "method", "url", "id_in", "key_in", "key", "status", "output", "doc", "note")


def _row(family: Family) -> dict[str, str]:
    id_location = f"body field {family.id_field}" if family.id_field else "url"
    return {
        "name": family.name,
        "method": family.method,
        "url": family.url,
        "id_in": id_location,
        "key_in": family.key_in,
        "key": family.tier,
        "status": family.status,
        "output": ",".join(family.output) or "none",
        "doc": family.doc,
        "note": family.note,
    }


def _cells(family: Family) -> list[Text]:
    row = _row(family)
    rule = (
        f"id in {row['id_in']}, {row['key']} key in {row['key_in']}, status read as {row['status']}"
    )
    about = "".join(f"\n{text}" for text in (family.doc, family.note) if text)
    return [
        Text.assemble((family.name, "bold"), f"\n{row['output']}"),
        Text.assemble(f"{family.method} {family.url}\n{rule}", (about, "dim")),
    ]


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_family)
@options.json_option()
@options.debug
def families(names: tuple[str, ...], *, as_json: bool) -> None:
    """
    List the API families that tickets can belong to.

    The output is a table on a terminal, and tab-separated lines with a header on a pipe.
    """
    selected = [find_family(name) for name in names] or list(FAMILIES.values())
    if as_json:
        for family in selected:
            output.print_record(_row(family) | {"output": list(family.output)})
    elif output.is_terminal():
        columns = ("family, output", "how its tickets are fetched, document, note")
        title = "{base} and {legacy} stand for the two hosts of the service"
        output.make_console().print(output.table(title, columns, map(_cells, selected)))
    else:
        for line in (_COLUMNS, *(tuple(_row(family).values()) for family in selected)):
            click.echo("\t".join(line))
