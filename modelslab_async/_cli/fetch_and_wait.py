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
from .._transport.credentials import Credentials
from . import options, output
from .event_loop import run_async
from .exit_codes import USAGE, code_for, exit_codes, explain, worst_code
from .ticket_arguments import (
    STDIN,
    find_credentials,
    iter_tickets,
    make_client,
    parse_pollable_ticket,
)


@define
class ExitTally:
    """How a run went: each outcome's exit code, and the errors that left tickets open."""

    codes: Counter[int] = field(factory=Counter[int])
    first_unresolved: dict[int, Unresolved] = field(factory=dict[int, Unresolved])

    def count(self, outcome: Outcome) -> None:
        """Count an outcome."""
        code = code_for(outcome)
        self.codes[code] += 1
        if isinstance(outcome, Unresolved):
            self.first_unresolved.setdefault(code, outcome)

    def count_skipped(self, problem: str) -> None:
        """Count a line that is no ticket, and say so."""
        output.print_message(problem)
        self.codes[USAGE] += 1

    @property
    def handled(self) -> int:
        """How many tickets or lines are dealt with."""
        return self.codes.total()

    def print_summary(self) -> int:
        """Say what the worst trouble was, if any left tickets open, and give the exit code."""
        if self.first_unresolved:
            code = worst_code(self.first_unresolved)
            more = f" ({self.codes[code]} tickets ended so)" if self.codes[code] > 1 else ""
            output.print_message(f"{explain(self.first_unresolved[code].cause)}{more}")
        return worst_code(self.codes)


@click.command(epilog=exit_codes())
@click.argument("ticket", shell_complete=options.complete_ticket)
@options.host_options
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
    parsed = parse_pollable_ticket(text, find_credentials())
    reply = run_async(_fetch(make_client(base_url, legacy_base_url), parsed))
    if as_json or not output.is_terminal():
        output.print_json(reply)
    else:
        output.print_result(output.make_console(), reply)
    return code_for(reply)


async def _fetch(client: Client, ticket: Ticket) -> Reply:
    async with client:
        return await client.fetch(ticket)


@click.command(epilog=exit_codes())
@options.tickets
@click.option(
    "--timeout",
    type=options.NumberRange(min=0),
    metavar="SECONDS",
    help="The most seconds to wait for each ticket; 0 gives up at once.",
)
@options.host_options
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
    credentials = find_credentials()
    for text in tickets:
        if text != STDIN:
            parse_pollable_ticket(text, credentials)
    client = make_client(base_url, legacy_base_url)
    tally = ExitTally()
    console = None if as_json or not output.is_terminal() else output.make_console()
    try:
        run_async(
            _wait(client, tickets, credentials, timeout=timeout, tally=tally, console=console)
        )
    except KeyboardInterrupt:
        raise options.Interrupted(
            f"interrupted after {tally.handled} ended; wait for the others again to resume"
        ) from None
    return tally.print_summary()


async def _wait(
    client: Client,
    texts: Iterable[str],
    credentials: Credentials,
    *,
    timeout: float | None,
    tally: ExitTally,
    console: Console | None,
) -> None:
    # Taking in a long list must not keep the event loop from looking.
    status = console.status("waiting") if console else nullcontext()
    async with client:
        with status:
            async for outcome in client.stream(
                iter_tickets(texts, credentials, tally.count_skipped), timeout=timeout
            ):
                tally.count(outcome)
                if console:
                    output.print_result(console, outcome)
                else:
                    output.print_json(outcome)
                await asyncio.sleep(0)
