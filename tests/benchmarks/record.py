"""
Measures this package beside other clients, and records each round of each in one file.

    python tests/benchmarks/record.py --rounds 5 --save docs/explanation/performance.json
    python tests/benchmarks/record.py --parts rates --clients aiohttp stream --rounds 3

Every round runs in a process of its own, and the rounds of all clients alternate. So other load on
the machine meets them alike, and only ratios mean anything. `performance_page.py` makes the tables
and pictures of the documentation from the file.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from above import PARTS
from fixed_server import Server, fixed_server
from machine import machine
from own_clients import OWN_CLIENTS
from rivals import RIVALS, capacity
from tunnel import tunnel

CONNECTIONS = 64
_PLOTTED_CONNECTIONS = (1, 16, 256, 1000)
_PLOTTED = ("aiohttp", "modelslab-py", "httpx", "pyreqwest", "stream", "stream, h11")
# httpx needs some 2.5 ms for a ticket. So each round takes about a second.
_TICKETS = {"httpx": 300}
_USUAL_TICKETS = 5000
_PACKAGES = ("httpx", "aiohttp", "modelslab_py", "pyreqwest", "h11", "httptools", "uvloop")
_FOLDER = Path(__file__).parent


class Case(NamedTuple):
    """
    What is measured in one process, once in each round.

    Attributes:
        client: The name of the client.
        server: `settled`, `processing`, `tls` or `proxy`.
        connections: The number of connections.
        loop: `asyncio` or `uvloop`.
        python: The version of Python, such as `3.13`.
    """

    client: str
    server: str = "settled"
    connections: int = CONNECTIONS
    loop: str = "asyncio"
    python: str = ""


def cases(pythons: Iterable[str]) -> list[Case]:
    """Return all cases. The first Python runs everything, the others what differs between them."""
    first, *others = pythons
    everyone = [*RIVALS, *(name for name in OWN_CLIENTS if name != "open tickets")]
    compared = [name for name in everyone if name not in ("pyreqwest", "sockets alone")]
    running = ("aiohttp", "open tickets")
    found = [Case(name, python=first) for name in everyone]
    found += [Case(name, server="processing", python=first) for name in running]
    for loop, python in (("uvloop", first), *(("asyncio", other) for other in others)):
        found += [Case(name, loop=loop, python=python) for name in compared]
        found += [Case(name, server="processing", loop=loop, python=python) for name in running]
    found += [
        Case(name, connections=connections, python=first)
        for connections in _PLOTTED_CONNECTIONS
        for name in (*_PLOTTED, *(["fetch, h11", "gather, h11"] if connections == 1000 else []))
    ]
    encrypted = ("aiohttp", "fetch", "stream")
    return found + [
        Case(name, each, python=first) for each in ("tls", "proxy") for name in encrypted
    ]


def one_round(case: Case, server: Server, proxy: str, executable: str) -> dict[str, Any]:
    """Run one round in a new process."""
    url = server.url
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    if case.server == "processing":
        url += "/processing"
    elif case.server in ("tls", "proxy"):
        url = server.tls_url
        environment["SSL_CERT_FILE"] = server.authority
    if case.server == "proxy":
        environment["https_proxy"] = proxy
    tickets = max(_TICKETS.get(case.client, _USUAL_TICKETS), case.connections)
    completed = subprocess.run(
        [
            *(executable, str(_FOLDER / "one_round.py"), case.client, url),
            *("--connections", str(case.connections), "--tickets", str(tickets)),
            *(["--uvloop"] if case.loop == "uvloop" else []),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(completed.stdout))


def rates(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all cases, and return their rounds."""
    interpreters = dict(each.split("=", 1) for each in options.python)
    interpreters = {_this_python(): sys.executable, **interpreters}
    wanted = [
        case
        for case in cases(interpreters)
        if not options.clients or (case.client in options.clients and _is_plain(case))
    ]
    with ExitStack() as stack:
        server = stack.enter_context(fixed_server())
        proxy = stack.enter_context(tunnel()) if server.tls_url else None
        wanted = [case for case in wanted if _can_run(case, server, proxy)]
        most = asyncio.run(capacity(server.url))
        rounds: dict[Case, list[dict[str, Any]]] = {case: [] for case in wanted}
        for number in range(options.rounds):
            for case, found in rounds.items():
                found.append(one_round(case, server, proxy or "", interpreters[case.python]))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return {
        "server": {"name": server.name, "capacity": round(most)},
        "cases": [
            {
                **case._asdict(),
                "rate": [each["rate"] for each in found],
                "cpu": [each["cpu"] for each in found],
            }
            for case, found in rounds.items()
        ],
    }


def _this_python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _is_plain(case: Case) -> bool:
    """Whether a case is that of the short comparison of some clients."""
    return case == Case(case.client, python=_this_python())


def _can_run(case: Case, server: Server, proxy: str | None) -> bool:
    """Whether nginx and tinyproxy are there, if a case needs them."""
    match case.server:
        case "processing":
            return server.name == "nginx"
        case "tls":
            return bool(server.tls_url)
        case "proxy":
            return proxy is not None
        case _:
            return True


def table(found: dict[str, Any]) -> str:
    """One line per case of the short comparison, the slowest first."""
    plain = [each for each in found["cases"] if _is_plain(Case(*list(each.values())[:5]))]
    lines = [f"{'':20} {'tickets/s':>9} {'us CPU':>7}"]
    lines += [
        f"{each['client']:20} {median(each['rate']):9.0f} {median(each['cpu']):7.0f}"
        for each in sorted(plain, key=lambda case: median(case["rate"]))
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure the parts, and save the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=("rates", *PARTS), default=["rates", *PARTS])
    parser.add_argument("--clients", nargs="+", help="compare only these, at 64 connections")
    parser.add_argument(
        "--python", action="append", default=[], help="another Python, such as 3.13=/path/python"
    )
    parser.add_argument("--save", type=Path, help="write each round to this file, as JSON")
    options = parser.parse_args()
    # Exiting by SystemExit ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    record: dict[str, Any] = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": machine(*_PACKAGES),
        "rounds": options.rounds,
        "load": round(os.getloadavg()[0], 1),
    }
    for part in options.parts:
        record[part] = rates(options) if part == "rates" else PARTS[part](options.rounds)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if "rates" in record:
        print(table(record["rates"]))
    if options.save is not None:
        options.save.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
