"""The commands `fetch` and `wait`: one look, and as many as it takes."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext

import click
from attrs import define, field
from rich.console import Console

from .. import Client, Outcome, Reply, Ticket, Unresolved
from .._transport.credentials import Keys
from . import options, output
from .event_loop import run_async
from .exit_codes import USAGE, code_of, exit_codes, explained, worst
from .ticket_arguments import STDIN, checked, find_keys, given, make_client


@define
class Tally:
    """How a run went: each outcome's exit code, and the errors that left tickets open."""

    codes: Counter[int] = field(factory=Counter[int])
    left_open: dict[int, Unresolved] = field(factory=dict[int, Unresolved])

    def count(self, outcome: Outcome) -> None:
        """Count an outcome."""
        code = code_of(outcome)
        self.codes[code] += 1
        if isinstance(outcome, Unresolved):
            self.left_open.setdefault(code, outcome)

    def skip(self, fault: str) -> None:
        """Count a line that is no ticket, and say so."""
        output.say(fault)
        self.codes[USAGE] += 1

    @property
    def ended(self) -> int:
        """How many tickets or lines are dealt with."""
        return self.codes.total()

    def sum_up(self) -> int:
        """Say what the worst trouble was, if any left tickets open, and give the exit code."""
        if self.left_open:
            code = worst(self.left_open)
            more = f" ({self.codes[code]} tickets ended so)" if self.codes[code] > 1 else ""
            output.say(f"{explained(self.left_open[code].cause)}{more}")
        return worst(self.codes)


@click.command(epilog=exit_codes())
@click.argument("ticket", shell_complete=options.complete_ticket)
@options.hosts
@options.as_json
@options.debug
def fetch(ticket: str, *, base_url: str | None, legacy_base_url: str | None, as_json: bool) -> int:
    """
    Look once at TICKET and print the reply.

    TICKET is a family and an id, such as images:13443927; `-` reads it from standard input. The
    key is taken from MODELSLAB_API_KEY, for enterprise families from
    MODELSLAB_ENTERPRISE_API_KEY.
    """
    text = sys.stdin.read().strip() if ticket == STDIN else ticket
    wanted = checked(text, find_keys())
    reply = run_async(_fetch(make_client(base_url, legacy_base_url), wanted))
    if as_json or not output.is_terminal():
        output.print_record(reply)
    else:
        output.print_news(output.terminal(), reply)
    return code_of(reply)


async def _fetch(client: Client, ticket: Ticket) -> Reply:
    async with client:
        return await client.fetch(ticket)


@click.command(epilog=exit_codes())
@options.tickets
@click.option(
    "--timeout",
    type=options.Numbers(min=0),
    metavar="SECONDS",
    help="The most seconds to wait for each ticket; 0 gives up at once.",
)
@options.hosts
@options.as_json
@options.debug
def wait(
    tickets: tuple[str, ...],
    *,
    timeout: float | None,
    base_url: str | None,
    legacy_base_url: str | None,
    as_json: bool,
) -> int:
    """
    Wait until every TICKET has ended, and print the outcomes as they come.

    TICKET is a family and an id, such as images:13443927; `-` reads one a line from standard
    input. The key is taken from MODELSLAB_API_KEY, for enterprise families from
    MODELSLAB_ENTERPRISE_API_KEY. Outcomes are JSON lines on a pipe. Waiting can be repeated.
    """
    keys = find_keys()
    for text in tickets:
        if text != STDIN:
            checked(text, keys)
    client = make_client(base_url, legacy_base_url)
    tally = Tally()
    console = None if as_json or not output.is_terminal() else output.terminal()
    try:
        run_async(_wait(client, tickets, keys, timeout=timeout, tally=tally, console=console))
    except KeyboardInterrupt:
        raise options.Interrupted(
            f"interrupted after {tally.ended} ended; wait for the others again to resume"
        ) from None
    return tally.sum_up()


async def _wait(
    client: Client,
    texts: Iterable[str],
    keys: Keys,
    *,
    timeout: float | None,
    tally: Tally,
    console: Console | None,
) -> None:
    # Taking in a long list must not keep the event loop from looking.
    status = console.status("waiting") if console else nullcontext()
    async with client:
        with status:
            async for outcome in client.stream(given(texts, keys, tally.skip), timeout=timeout):
                tally.count(outcome)
                if console:
                    output.print_news(console, outcome)
                else:
                    output.print_record(outcome)
                await asyncio.sleep(0)
