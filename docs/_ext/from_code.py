"""Directives whose text comes from the package itself, so that no page can fall behind it."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import ClassVar

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from modelslab_async import ENDPOINTS, FAMILIES, Endpoint, Family
from modelslab_async._cli.app import app as program
from modelslab_async._models import errors

_PROGRAM = "modelslab-async"
_FENCE = re.compile(r"```(\w*)")


def _keeps(group: str, family: Family) -> bool:
    if family.url.startswith("{legacy}"):
        return group == "legacy"
    return group == family.tier


def _row(family: Family) -> str:
    parts = "/".join(family.id_parts) or f"`{family.id_field}` in the body"
    where = parts if family.id_field else f"`{parts}` in the path"
    output = ", ".join(family.output) or "none"
    note = f" {family.note}" if family.note else ""
    return (
        f"| `{family.name}` | {family.method} `{family.url}` | {where} | {family.key_in} "
        f"| {family.tier} | {family.status} | {output} | [page]({family.doc}).{note} |"
    )


class FamiliesTable(SphinxDirective):
    """One table of the registry: `standard`, `legacy` or `enterprise`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        rows = [_row(family) for family in FAMILIES.values() if _keeps(self.arguments[0], family)]
        head = "| Name | Fetch | Id | Key in | Key | Status | Output | Source and note |"
        text = "\n".join((head, "|---" * 8 + "|", *rows))
        return self.parse_text_to_nodes(text)


def _endpoint_row(endpoint: Endpoint) -> str:
    name = endpoint.name.partition("/")[2]
    required = ", ".join(
        (*map(_code, endpoint.required), *(" or ".join(map(_code, g)) for g in endpoint.any_of))
    )
    family = f"`{endpoint.resolved_by}`" if endpoint.resolved_by else "none, answered at once"
    optional = ", ".join(map(_code, endpoint.optional))
    note = f" {endpoint.note}" if endpoint.note else ""
    return (
        f"| `{name}` | {family} | {required} | {optional} | {', '.join(endpoint.output)} "
        f"| [page]({endpoint.doc}).{note} |"
    )


def _code(name: str) -> str:
    return f"`{name}`"


class EndpointsTables(SphinxDirective):
    """The table of endpoints, a heading and a table a family."""

    def run(self) -> list[nodes.Node]:
        """Write the headings and the tables."""
        text = "\n".join(self._sections())
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def _sections(self) -> Iterator[str]:
        head = "| Name | Tickets of | Required | Optional | Output | Source and note |"
        by_family: dict[str, list[Endpoint]] = {}
        for name, endpoint in ENDPOINTS.items():
            by_family.setdefault(name.partition("/")[0], []).append(endpoint)
        for family, rows in by_family.items():
            root = rows[0].url.rpartition("/")[0]
            key = f"{rows[0].tier} key in {rows[0].key_in}"
            yield f"## {family}\n\n`{rows[0].method} {root}/...`, {key}.\n"
            yield "\n".join((head, "|---" * 6 + "|", *map(_endpoint_row, rows)))
            yield ""


class ErrorTree(SphinxDirective):
    """The tree that the docstring of the errors draws."""

    def run(self) -> list[nodes.Node]:
        """Cut the tree out of the docstring."""
        lines = inspect.cleandoc(errors.__doc__ or "").splitlines()
        tree = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
        return [nodes.literal_block(tree, tree, language="text")]


class CommandHelp(SphinxDirective):
    """What `--help` says, of the program or of one of its commands."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Ask click for the text."""
        context = click.Context(program, info_name=_PROGRAM, terminal_width=78)
        command: click.Command = program
        for name in self.arguments[0].split() if self.arguments else ():
            command = command.commands[name] if isinstance(command, click.Group) else command
            context = click.Context(command, info_name=name, parent=context, terminal_width=78)
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="text")]


class Commands(SphinxDirective):
    """Every command with its help, each under a heading."""

    def run(self) -> list[nodes.Node]:
        """Write the headings and leave the rest to `CommandHelp`."""
        text = "\n".join(self._sections())
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def _sections(self) -> Iterator[str]:
        for name in _names(program):
            yield f"## {_PROGRAM} {name}\n\n```{{command-help}} {name}\n```\n"


def _names(group: click.Group) -> Iterator[str]:
    """Its commands, and theirs."""
    for name, command in group.commands.items():
        yield name
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in _names(command))


def _fences_to_blocks(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Docstrings fence their examples, for editors; reStructuredText wants a directive."""
    written: list[str] = []
    inside = False
    for line in lines:
        fence = _FENCE.search(line)
        if not fence:
            written.append(f"    {line}" if inside else line)
            continue
        inside = not inside
        start = line[: fence.start()]
        written += [f"{start}.. code-block:: {fence[1]}", ""] if inside else [""]
    lines[:] = written


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register all of it."""
    app.add_directive("families-table", FamiliesTable)
    app.add_directive("endpoints-tables", EndpointsTables)
    app.add_directive("error-tree", ErrorTree)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("commands", Commands)
    app.connect("autodoc-process-docstring", _fences_to_blocks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
