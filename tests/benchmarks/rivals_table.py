"""
Writes the comparison with all rivals into the page on performance, from recorded runs.

    python tests/benchmarks/rivals_table.py rivals.json docs/explanation/performance.md

The first file holds the runs that `rivals.py --save` wrote, by their number of connections.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- rivals.json: begin -->", "<!-- rivals.json: end -->"
FEW, MANY = "64", "1000"
# As the ways are called on the page, those of ours marked, with the package that each one is.
NAMES: Mapping[str, tuple[str, str | None]] = {
    "sockets alone": ("sockets alone: nothing is built and nothing read", None),
    "Client, fast": ("**`Client.fetch` over the fast transport**", None),
    "pyreqwest": ("pyreqwest {}, bare", "pyreqwest"),
    "modelslab-py": ("modelslab-py {}, `async_fetch`", "modelslab_py"),
    "aiohttp": ("aiohttp {}, a bare loop", "aiohttp"),
    "Client.stream, fast": (
        "**`Client.stream` over the fast transport**, each ticket opened and settled",
        None,
    ),
    "Client": ("**`Client.fetch`, as it comes**", None),
    "httpx": ("httpx {}, a shared client", "httpx"),
}


def _short(number: float) -> str:
    """Two digits that count."""
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"


def _times(run: Mapping[str, Any], way: str, rival: str) -> float:
    return float(run["ratios"][way][rival])


def _row(run: Mapping[str, Any], way: str) -> str:
    name, package = NAMES[way]
    if package is not None:
        name = name.format(".".join(run["machine"]["packages"][package].split(".")[:2]))
    cpu = run["figures"][way]["cpu"] / run["figures"]["aiohttp"]["cpu"]
    return f"| {name} | {_short(cpu)} | {_short(_times(run, way, 'aiohttp'))} |"


def _origin(run: Mapping[str, Any]) -> str:
    machine = run["machine"]
    return (
        f"{run['connections']} connections, {run['rounds']} rounds of {run['looks']:,} looks each, "
        f"Python {machine['python']}, {machine['cores']} cores of an {machine['cpu']}, "
        f"{run['server']['name']} at the other end"
    )


def written(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """What the page says of the runs."""
    few, many = runs[FEW], runs[MANY]
    ways = sorted(NAMES, key=lambda way: float(few["figures"][way]["cpu"]))
    httpx, aiohttp, official, httpx_many, aiohttp_many = (
        _short(_times(*each))
        for each in (
            (few, "Client", "httpx"),
            (few, "Client, fast", "aiohttp"),
            (few, "Client, fast", "modelslab-py"),
            (many, "Client", "httpx"),
            (many, "Client, fast", "aiohttp"),
        )
    )
    origin = (
        f"One recorded run: {_origin(few)}. Only the ratios mean anything, and they too move from "
        "run to run on a machine that others use at the same time."
    )
    told = (
        f"So `Client.fetch` does {httpx} times the looks a second of httpx as it comes, and over "
        f"the fast transport {aiohttp} times those of aiohttp and {official} times those of "
        f"modelslab-py. Another run: {_origin(many)}. There `Client.fetch` does {httpx_many} times "
        f"the looks of httpx as it comes, and {aiohttp_many} times those of aiohttp over the fast "
        "transport."
    )
    header = "| Way | CPU a look, beside aiohttp's | Looks a second, beside aiohttp's |"
    rows = (_row(few, way) for way in ways)
    return "\n".join([origin, "", header, "|---|---|---|", *rows, "", told])


def renewed(page: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with what it says of these runs."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{written(runs)}\n{END}{after}"


def main() -> None:
    """Renew a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("record", type=Path, help="the runs, as JSON")
    parser.add_argument("page", type=Path, help="the page")
    options = parser.parse_args()
    runs = json.loads(options.record.read_text())
    options.page.write_text(renewed(options.page.read_text(), runs))


if __name__ == "__main__":
    main()
