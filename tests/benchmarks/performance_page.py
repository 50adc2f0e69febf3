"""
Makes the tables and pictures of `docs/explanation/performance.md` from the records of two runs.

    python tests/benchmarks/performance_page.py

`record.py --save docs/explanation/performance.json` writes the record. The record of a run on an
earlier day is beside it, to show how far two runs agree. Each ratio is the median of the ratios of
the rounds.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from performance_plot import layers_picture, rates_picture

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"
Record = Mapping[str, Any]
Column = tuple[str, str]

_CLIENTS = {
    "sockets alone": "sockets alone: nothing is built and nothing parsed",
    "fetch": "**`Client.fetch`, httptools**",
    "pyreqwest": "pyreqwest, bare",
    "gather": "**`Client.gather`, httptools**",
    "stream": "**`Client.stream`, httptools**",
    "modelslab-py": "modelslab-py, `async_fetch`",
    "aiohttp": "aiohttp, a bare loop with `json()`",
    "fetch, h11": "**`Client.fetch`, h11**",
    "gather, h11": "**`Client.gather`, h11**",
    "stream, h11": "**`Client.stream`, h11**",
    "httpx": "httpx, a shared client",
}


def columns(record: Record) -> list[Column]:
    """Return each pair of event loop and Python that was measured, the usual one first."""
    found = {(case["loop"], case["python"]): None for case in record["rates"]["cases"]}
    return list(found)


def figures(record: Record, column: Column, client: str, **more: Any) -> Mapping[str, Any] | None:
    """Return the case of a client; None if it was not measured."""
    wanted = {"server": "settled", "connections": 64, "client": client, **more}
    wanted["loop"], wanted["python"] = column
    for case in record["rates"]["cases"]:
        if all(case[name] == value for name, value in wanted.items()):
            return dict(case)
    return None


def ratio(
    record: Record, column: Column, client: str, rival: str, *, of: str = "rate", **more: Any
) -> float | None:
    """Return a client's figure divided by that of a rival; None if one was not measured."""
    ours = figures(record, column, client, **more)
    theirs = figures(record, column, rival, **more)
    if ours is None or theirs is None:
        return None
    return median(our / their for our, their in zip(ours[of], theirs[of], strict=True))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: float | None, goal: float | None = None) -> str:
    """Format a ratio, and say if it is below its goal."""
    if value is None:
        return ""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{text}, missed" if goal is not None and float(text) < goal else text


class Goal(NamedTuple):
    """A row of the table of ratios: a client beside a rival, and the least ratio that is wanted."""

    words: str
    client: str
    rival: str
    least: float
    more: Mapping[str, Any] = {}


def _goals() -> Iterator[Goal]:
    for rival, least in (("aiohttp", 1.7), ("modelslab-py", 1.5)):
        for way in ("stream", "gather"):
            yield Goal(f"`{way}` with httptools, beside {rival}", way, rival, least)
    for connections, least in ((64, 20.0), (1000, 25.0)):
        for way in ("stream", "gather", "fetch"):
            words = f"`{way}` with h11, beside httpx, {connections:,} connections"
            yield Goal(words, f"{way}, h11", "httpx", least, {"connections": connections})
    words = 'polls that say "processing", beside aiohttp'
    yield Goal(words, "open tickets", "aiohttp", 2.0, {"server": "processing"})
    for server, way in (("tls", "over TLS"), ("proxy", "over TLS through a proxy")):
        yield Goal(f"`stream` {way}, beside aiohttp", "stream", "aiohttp", 1.3, {"server": server})


def _ratio_row(record: Record, earlier: Record, goal: Goal) -> str | None:
    """Return the row of a goal; None if it was not measured."""
    usual, *others = columns(record)

    def found(column: Column, of: str = "rate", record: Record = record) -> float | None:
        return ratio(record, column, goal.client, goal.rival, of=of, **goal.more)

    rate, cpu = found(usual), found(usual, "cpu")
    if rate is None or cpu is None:
        return None
    rates = [found(usual, record=earlier), *map(found, others)]
    shown = [_shown(each, goal.least) for each in rates]
    return _row([goal.words, f"{goal.least:g}", _shown(rate, goal.least), _shown(1 / cpu), *shown])


def ratios_table(record: Record, earlier: Record) -> str:
    """Return the table of settled tickets a second beside others, with the goals."""
    usual, *others = (f"{loop}, Python {python}" for loop, python in columns(record))
    head = ["Settled tickets beside a rival's", "Goal", usual, "the same, by CPU time"]
    head += [f"{usual}, on {earlier['date']}", *others]
    rows = (_ratio_row(record, earlier, goal) for goal in _goals())
    return "\n".join([_row(head), "|---" * len(head) + "|", *filter(None, rows)])


def clients_table(record: Record) -> str:
    """Return the table of all clients beside aiohttp, the fastest first."""
    usual = columns(record)[0]
    rates = {name: ratio(record, usual, name, "aiohttp") for name in _CLIENTS}
    head = ["64 connections", "CPU of a ticket", "Tickets a second"]
    rows = [_row(head), "|---|---|---|"]
    for name, rate in sorted(rates.items(), key=lambda each: -(each[1] or 0.0)):
        if rate is not None:
            cpu = ratio(record, usual, name, "aiohttp", of="cpu")
            rows.append(_row([_CLIENTS[name], _shown(cpu), _shown(rate)]))
    return "\n".join(rows)


def absolute_table(record: Record, earlier: Record) -> str:
    """Return the table of the figures that depend on the machine, with the goals."""
    measured_earlier = {words: found for words, found, _ in _absolute_figures(earlier)}
    head = ["On one machine", "Goal", "Measured", f"On {earlier['date']}"]
    rows = [
        _row([words, goal, found, measured_earlier.get(words, "")])
        for words, found, goal in _absolute_figures(record)
    ]
    return "\n".join([_row(head), "|---" * len(head) + "|", *rows])


def _absolute_figures(record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured, the figure and the goal."""
    if above := record.get("above"):
        fetch = median(above["fetch"])
        for way in ("stream", "gather"):
            words = f"CPU of `{way}` more than of `fetch`, above the transport"
            yield _absolute_figure(words, median(above[way]) - fetch, 15, "us")
    if pause := record.get("collection"):
        words = f"Full garbage collection, {pause['open']:,} open tickets"
        found = median(pause["ms"]) - median(pause["ms_without"])
        yield _absolute_figure(words, found, 10, "ms")
    if memory := record.get("memory"):
        words = f"Memory of an open ticket, {memory['open']:,} open"
        yield _absolute_figure(words, median(memory["bytes_each"]), 250, "bytes")
    if journal := record.get("journal"):
        committed = median(journal["completed"])
        missed = "" if committed >= 120_000 else ", missed"
        words = "Outcomes that the journal commits to SQLite in a second"
        yield words, f"{committed:,.0f}{missed}", "at least 120,000"


def _absolute_figure(words: str, found: float, most: float, unit: str) -> tuple[str, str, str]:
    missed = "" if found <= most else ", missed"
    return words, f"{found:.1f} {unit}{missed}", f"at most {most:g} {unit}"


def instructions_words(record: Record) -> str:
    """Return the sentence about the instructions of a ticket, if they were counted."""
    counted = {way: count for way, count in record.get("instructions", {}).items() if count}
    words = ", ".join(f"`{way}` {count:,}" for way, count in counted.items())
    lead = "Instructions of one settled ticket above the transport, counted by callgrind"
    return f"{lead}: {words}." if words else ""


def run_words(record: Record) -> str:
    """Return the sentence that says where and when the record was made."""
    machine, server = record["machine"], record["rates"]["server"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    where = f"{machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}"
    return (
        f"Recorded on {record['date']}: {record['rounds']} rounds on {where}, with {packages}. "
        f"The load of the machine was {record['load']:g} before the run: where that is more than "
        f"1, other work ran beside it. {server['name']} answers up to {server['capacity']:,} polls "
        "a second."
    )


def parts(record: Record, earlier: Record) -> dict[str, str]:
    """Return each part of the page that is made from the records."""
    return {
        "run": run_words(record),
        "ratios": ratios_table(record, earlier),
        "clients": clients_table(record),
        "absolute": absolute_table(record, earlier),
        "instructions": instructions_words(record),
    }


def remade(page: str, record: Record, earlier: Record) -> str:
    """Return the page with each marked part made anew from the records."""
    for name, made in parts(record, earlier).items():
        begin, end = f"<!-- {name}: made by performance_page.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"the page has no part between {begin.strip()!r} and {end!r}")
        page = (
            f"{before}{begin}\n{made}\n\n{end}{after}" if made else f"{before}{begin}\n{end}{after}"
        )
    return page


def records() -> tuple[Record, Record]:
    """Return the record of the newest run, and that of the run on an earlier day."""
    newest, earlier = (
        json.loads((EXPLANATION / name).read_text())
        for name in ("performance.json", "performance_earlier.json")
    )
    return newest, earlier


def main() -> None:
    """Make the page and the pictures anew."""
    record, earlier = records()
    page = EXPLANATION / "performance.md"
    page.write_text(remade(page.read_text(), record, earlier))
    (EXPLANATION / "performance_rates.svg").write_text(rates_picture(record))
    (EXPLANATION / "performance_layers.svg").write_text(layers_picture(record))


if __name__ == "__main__":
    main()
