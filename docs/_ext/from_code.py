"""Sphinx directives that take their text from the package, so that no page is out of date."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, ClassVar

import click
from attrs import Attribute, Factory, frozen
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from modelslab_async import ENDPOINTS, FAMILIES, Endpoint, Family
from modelslab_async._cli.app import app as program
from modelslab_async._models import errors

_PROGRAM = "modelslab-async"
_FENCE = re.compile(r"```(\w*)")


def _is_in_group(group: str, family: Family) -> bool:
    if family.url.startswith("{legacy}"):
        return group == "legacy"
    return group == family.tier


def _family_row(family: Family) -> str:
    in_body = f"`{family.id_field}` in the body"
    in_path = f"`{'/'.join(family.id_parts)}` in the path"
    where = in_body if family.id_field else in_path
    output = ", ".join(family.output) or "none"
    note = f" {family.note}" if family.note else ""
    return (
        f"| `{family.name}` | {family.method} `{family.url}` | {where} | {family.key_in} "
        f"| {family.tier} | {family.status} | {output} | {_page(family.doc)}{note} |"
    )


class FamiliesTable(SphinxDirective):
    """The families of one group, as a table: `standard`, `legacy` or `enterprise`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = [
            _family_row(family)
            for family in FAMILIES.values()
            if _is_in_group(self.arguments[0], family)
        ]
        head = "| Name | Fetch | Id | Key in | Key | Status | Output | Source and note |"
        text = "\n".join((head, "|---" * 8 + "|", *rows))
        return self.parse_text_to_nodes(text)


def _endpoint_row(endpoint: Endpoint) -> str:
    name = endpoint.name.partition("/")[2]
    required = ", ".join(
        (
            *map(_code, endpoint.required),
            *(" or ".join(map(_code, group)) for group in endpoint.any_of),
        )
    )
    family = f"`{endpoint.resolved_by}`" if endpoint.resolved_by else "none, answered at once"
    optional = ", ".join(map(_code, endpoint.optional))
    note = f" {endpoint.note}" if endpoint.note else ""
    return (
        f"| `{name}` | {family} | {required} | {optional} | {', '.join(endpoint.output)} "
        f"| {_page(endpoint.doc)}{note} |"
    )


def _page(url: str) -> str:
    return f"[page]({url})." if url else ""


def _code(name: str) -> str:
    return f"`{name}`"


class EndpointsTables(SphinxDirective):
    """All endpoints: a heading and a table for each family."""

    def run(self) -> list[nodes.Node]:
        """Return the headings and the tables."""
        text = "\n".join(self._sections())
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def _sections(self) -> Iterator[str]:
        head = "| Name | Tickets of | Required | Optional | Output | Source and note |"
        by_family: dict[str, dict[str, list[Endpoint]]] = {}
        for name, endpoint in ENDPOINTS.items():
            by_root = by_family.setdefault(name.partition("/")[0], {})
            by_root.setdefault(endpoint.url.rpartition("/")[0], []).append(endpoint)
        for family, by_root in by_family.items():
            yield f"## {family}\n"
            for root, rows in by_root.items():
                key = f"{rows[0].tier} key in {rows[0].key_in}"
                yield f"`{rows[0].method} {root}/...`, {key}.\n"
                yield "\n".join((head, "|---" * 6 + "|", *map(_endpoint_row, rows)))
                yield ""


class TypedFunctions(SphinxDirective):
    """The typed functions: a heading for each family, and below it its module."""

    def run(self) -> list[nodes.Node]:
        """Return the headings and the functions."""
        names = dict.fromkeys((*FAMILIES, *(name.partition("/")[0] for name in ENDPOINTS)))
        text = "\n".join(map(self._section, names))
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def _section(self, name: str) -> str:
        return (
            f"## {name}\n\n```{{eval-rst}}\n.. automodule:: modelslab_async.requests.{name}\n"
            "   :members:\n   :exclude-members: Submission, Ticket\n```\n"
        )


class ErrorTree(SphinxDirective):
    """The tree of errors, from the docstring of their module."""

    def run(self) -> list[nodes.Node]:
        """Return the indented lines of the docstring."""
        lines = inspect.cleandoc(errors.__doc__ or "").splitlines()
        tree = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
        return [nodes.literal_block(tree, tree, language="text")]


class CommandHelp(SphinxDirective):
    """The `--help` text of the program or of one of its commands."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the text that click makes."""
        context = click.Context(program, info_name=_PROGRAM, terminal_width=78)
        command: click.Command = program
        for name in self.arguments[0].split() if self.arguments else ():
            command = _subcommands(command)[name]
            context = click.Context(command, info_name=name, parent=context, terminal_width=78)
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="text")]


class Commands(SphinxDirective):
    """The help of every command, each under a heading."""

    def run(self) -> list[nodes.Node]:
        """Return the headings, each with a `command-help` directive."""
        text = "\n".join(self._sections())
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def _sections(self) -> Iterator[str]:
        for name in _names(program):
            yield f"## {_PROGRAM} {name}\n\n```{{command-help}} {name}\n```\n"


def _subcommands(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    names = command.list_commands(context)
    return {name: found for name in names if (found := command.get_command(context, name))}


def _names(group: click.Command) -> Iterator[str]:
    """The names of a group's commands and of their subcommands."""
    for name, command in _subcommands(group).items():
        yield name
        yield from (f"{name} {inner}" for inner in _names(command))


def _fences_to_blocks(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Turn the fenced examples of docstrings into the directives of reStructuredText."""
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


@frozen(repr=False)
class _ShownDefault:
    text: str

    def __repr__(self) -> str:
        return self.text


def _default_of_attribute(attribute: "Attribute[Any]") -> _ShownDefault:
    match attribute.default:
        case Factory(takes_self=True):
            return _ShownDefault("...")
        case Factory(factory=factory):
            return _ShownDefault(repr(factory()))
        case default:
            return _ShownDefault(repr(default))


def _show_attrs_defaults(_app: Sphinx, function: Any, _is_bound: object) -> None:
    """
    Give the `__init__` that attrs generated a signature with the defaults of the class.

    Autodoc takes defaults from the source, which for attrs reads `attr_dict['floor'].default`.
    """
    attributes = getattr(function, "__globals__", {}).get("attr_dict")
    if not isinstance(attributes, dict):
        return
    by_argument = {attribute.alias: attribute for attribute in attributes.values()}
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(default=_default_of_attribute(by_argument[parameter.name]))
        if parameter.default is not parameter.empty
        else parameter
        for parameter in signature.parameters.values()
    ]
    function.__signature__ = signature.replace(parameters=parameters)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives and the hooks."""
    app.add_directive("families-table", FamiliesTable)
    app.add_directive("endpoints-tables", EndpointsTables)
    app.add_directive("typed-functions", TypedFunctions)
    app.add_directive("error-tree", ErrorTree)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("commands", Commands)
    app.connect("autodoc-process-docstring", _fences_to_blocks)
    # After the hook of autodoc that takes defaults from the source.
    app.connect("autodoc-before-process-signature", _show_attrs_defaults, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
