"""The commands `fetch`, which polls a ticket once, and `wait`, which polls until tickets end."""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial

import click
from rich.console import Console

from .. import Client, Reply, Ticket
from .._transport.credentials import Credentials
from . import options, output
from .account_limit_options import AccountLimits, account_options
from .argument_completers import complete_ticket
from .client_factory import find_credentials, make_client
from .event_loop import run_async
from .exit_codes_and_advice import POLL_CODES, WAIT_CODES, code_for, exit_codes
from .exit_tally import ExitTally, run_with_tally
from .standard_input import STDIN, open_text, unreadable_source
from .ticket_arguments import check_tickets, iter_tickets, parse_pollable_ticket


@click.command(
    epilog=exit_codes(POLL_CODES, success="success, or the job is still running", is_ranked=False)
)
@click.argument("ticket", shell_complete=complete_ticket)
@options.host_options
@options.json_option()
@options.debug
def fetch(ticket: str, *, base_url: str | None, legacy_base_url: str | None, as_json: bool) -> int:
    """
    Poll TICKET once and print the reply.

    TICKET is a family and an id, such as images:13443927. `-` reads the ticket from standard
    input. The key is taken from MODELSLAB_API_KEY, or from MODELSLAB_ENTERPRISE_API_KEY for
    enterprise families.
    """
    text = _read_stdin().strip() if ticket == STDIN else ticket
    parsed = parse_pollable_ticket(text, find_credentials())
    reply = run_async(_fetch, make_client(base_url, legacy_base_url), parsed)
    output.print_result(output.terminal_console(as_json=as_json), reply)
    return code_for(reply)


def _read_stdin() -> str:
    try:
        return open_text().read()
    except OSError as error:
        raise unreadable_source(STDIN, error, "a ticket as the argument") from None


async def _fetch(client: Client, ticket: Ticket) -> Reply:
    async with client:
        return await client.fetch(ticket)


@click.command(epilog=exit_codes(WAIT_CODES))
@options.tickets
@options.timeout_option("0 gives up at once")
@account_options
@options.host_options
@options.json_option()
@options.debug
def wait(
    tickets: tuple[str, ...],
    *,
    timeout: float | None,
    limits: AccountLimits,
    base_url: str | None,
    legacy_base_url: str | None,
    as_json: bool,
) -> int:
    """
    Wait until every TICKET has ended, and print the outcomes.

    TICKET is a family and an id, such as images:13443927. `-` reads tickets from standard input,
    one per line. The key is taken from MODELSLAB_API_KEY, or from MODELSLAB_ENTERPRISE_API_KEY for
    enterprise families. Each outcome is printed as soon as it is known. On a pipe, it is printed
    as a line of JSON. You can wait for the same tickets again.
    """
    credentials = check_tickets(tickets)
    client = make_client(base_url, legacy_base_url, limits=limits)
    tally = ExitTally()
    console = output.terminal_console(as_json=as_json)
    return run_with_tally(
        partial(_wait, client, tickets, credentials, timeout=timeout, tally=tally, console=console),
        tally,
        resume="wait for the others again to resume",
    )


async def _wait(
    client: Client,
    texts: Iterable[str],
    credentials: Credentials,
    *,
    timeout: float | None,
    tally: ExitTally,
    console: Console | None,
) -> None:
    status = console.status("waiting") if console else nullcontext()
    async with client:
        with status:
            async for outcome in client.stream(
                iter_tickets(texts, credentials, tally.count_skipped), timeout=timeout
            ):
                tally.count(outcome)
                output.print_result(console, outcome)
                # Many outcomes may be ready at once. Yield to the event loop after each one, so
                # that the poller can run.
                await asyncio.sleep(0)
