"""The command `endpoints`: lists the endpoints and their parameters."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

import click
from rich.text import Text

from .. import ENDPOINTS, FAMILIES, Endpoint
from .._registry.suggestions import did_you_mean
from . import options, output
from .argument_completers import complete_endpoint

_COLUMNS = (
    "name",
    "method",
    "url",
    "resolved_by",
    "required",
    "any_of",
    "optional",
    "files",
    "output",
    "key_in",
    "key",
    "doc",
    "note",
)


def _find_endpoints(pattern: str) -> list[Endpoint]:
    """
    Find endpoints by name, by the family of their tickets, or by pattern.

    `pattern` can also be the part of a name before or after the slash.

    Raises:
        click.UsageError: No endpoint matches.
    """
    if pattern in ENDPOINTS:
        return [ENDPOINTS[pattern]]
    found = [
        endpoint
        for name, endpoint in ENDPOINTS.items()
        if pattern in (*name.split("/"), endpoint.resolved_by) or fnmatchcase(name, pattern)
    ]
    if found:
        return found
    if pattern in FAMILIES:
        raise click.UsageError(f"family {pattern!r} has no documented endpoint")
    parts = dict.fromkeys(part for name in ENDPOINTS for part in name.split("/"))
    hint = did_you_mean(pattern, (*ENDPOINTS, *parts)) or "none is like it;"
    raise click.UsageError(
        f"unknown endpoint {pattern!r}; {hint} `{output.PROGRAM} endpoints` lists all of them"
    )


def _record(endpoint: Endpoint) -> dict[str, object]:
    return {
        "name": endpoint.name,
        "method": endpoint.method,
        "url": endpoint.url,
        "resolved_by": endpoint.resolved_by,
        "required": list(endpoint.required),
        "any_of": [list(group) for group in endpoint.any_of],
        "optional": list(endpoint.optional),
        "files": _file_parameters(endpoint),
        "output": list(endpoint.output),
        "key_in": endpoint.key_in,
        "key": endpoint.tier,
        "doc": endpoint.doc,
        "note": endpoint.note,
    }


def _file_parameters(endpoint: Endpoint) -> list[str]:
    """Return the parameters that take a file; none if the endpoint starts no work."""
    names = endpoint.parameters if endpoint.resolved_by else ()
    return [name for name in names if endpoint.takes_file(name)]


def _required_text(endpoint: Endpoint) -> str:
    """Return the required parameters as one string for the terminal."""
    return ", ".join((*endpoint.required, *map(" or ".join, endpoint.any_of)))


def _tsv_line(endpoint: Endpoint) -> str:
    """Return an endpoint as tab-separated fields. `a|b` means that a submit needs `a` or `b`."""
    row = _record(endpoint) | {"resolved_by": endpoint.resolved_by or ""}
    row["any_of"] = ["|".join(group) for group in endpoint.any_of]
    fields = (row[name] for name in _COLUMNS)
    return "\t".join(",".join(each) if isinstance(each, list) else str(each) for each in fields)


def _print_list(endpoints: Iterable[Endpoint]) -> None:
    """Print a table of endpoints on the terminal."""
    rows = (
        (
            Text(endpoint.name, "bold"),
            Text(endpoint.resolved_by or "answered at once"),
            Text(_required_text(endpoint) or "nothing"),
        )
        for endpoint in endpoints
    )
    columns = ("endpoint", "family of its tickets", "required")
    title = f"`{output.PROGRAM} endpoints NAME` lists all parameters of an endpoint"
    output.make_console().print(output.table(title, columns, rows, lines=False))


def _print_detail(endpoint: Endpoint) -> None:
    """Print on the terminal all that the registry knows about one endpoint."""
    tickets = f"tickets of family {endpoint.resolved_by}" if endpoint.resolved_by else "an answer"
    output_text = f" with {', '.join(endpoint.output)}" if endpoint.output else ""
    properties = {
        "request": f"{endpoint.method} {endpoint.url}",
        "key": f"{endpoint.tier}, in {endpoint.key_in}",
        "returns": f"{tickets}{output_text}",
        "required": _required_text(endpoint) or "nothing",
        "optional": ", ".join(endpoint.optional) or "nothing",
        "takes a file": ", ".join(_file_parameters(endpoint)),
        "document": endpoint.doc,
        "note": endpoint.note,
    }
    rows = [(Text(name), Text(value)) for name, value in properties.items() if value]
    output.make_console().print(output.table("", ("endpoint", endpoint.name), rows, lines=False))


@click.command()
@click.argument("pattern", required=False, shell_complete=complete_endpoint)
@options.json_option()
@options.debug
def endpoints(pattern: str | None, *, as_json: bool) -> None:
    """
    List all endpoints and their parameters.

    Most endpoints start work and make a ticket. The others answer at once.

    PATTERN is the name of an endpoint (realtime/text2img), the part before or after its slash
    (realtime, text2img), or a pattern such as 'v7_*/text-*'. The output is a table on a terminal,
    and tab-separated lines with a header on a pipe.
    """
    selected = list(ENDPOINTS.values()) if pattern is None else _find_endpoints(pattern)
    if as_json:
        for endpoint in selected:
            output.print_record(_record(endpoint))
    elif not output.is_terminal():
        for line in ("\t".join(_COLUMNS), *map(_tsv_line, selected)):
            click.echo(line)
    elif len(selected) == 1:
        _print_detail(selected[0])
    else:
        _print_list(selected)
