"""The command `batch uncertain`: lists uncertain submits, or records what one of them started."""

import shlex

import click

from ... import ENDPOINTS, Batch, Ticket
from ..._batch.uncertain_submit_errors import sent_at, where_to_look
from ...journal import PendingSubmit
from .. import options, output
from ..event_loop import run_async
from ..ticket_arguments import parse_ticket
from .journal_option import JournalLocation, journal, require_journal, shown
from .uncertain_advice import settling_commands


@click.command()
@click.argument("track_id", required=False)
@click.option("--ticket", metavar="TICKET", help="Record that the submit started this ticket.")
@click.option(
    "--not-started",
    is_flag=True,
    help="Record that it started nothing, so that it may be submitted, and paid for, again.",
)
@journal
@options.json_option()
@options.debug
def uncertain(
    track_id: str | None,
    *,
    ticket: str | None,
    not_started: bool,
    path: JournalLocation,
    as_json: bool,
) -> None:
    """
    List the submits that may or may not have started work.

    Their replies were lost. `batch submit` never sends them again. Look for each in your account at
    the service, by its time. If its endpoint takes a track_id, you can look for its TRACK_ID
    instead. Then give the TRACK_ID with --ticket or --not-started.
    """
    require_journal(path)
    has_answer = ticket is not None or not_started
    if has_answer != (track_id is not None) or (ticket is not None and not_started):
        raise click.UsageError(
            "give TRACK_ID with either --ticket or --not-started, or neither to list all"
        )
    if ticket is not None and output.redact(ticket) != ticket:
        raise click.UsageError(f"{ticket} is no ticket; give the id that your account shows")

    async def answer(track_id: str) -> None:
        async with Batch.open(path) as batch:
            if ticket is None:
                await batch.journal.withdraw(track_id)
            else:
                started = parse_ticket(ticket)
                if (submit := await batch.journal.find_submit(track_id)) is not None:
                    _check_family(submit.endpoint, started)
                await batch.journal.confirm(track_id, started)

    async def submits() -> list[PendingSubmit]:
        async with Batch.open(path) as batch:
            return await batch.uncertain()

    if track_id is None:
        for submit in run_async(submits):
            _print(submit, path, as_json=as_json)
        return
    try:
        run_async(answer, track_id)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    command = shlex.join([output.PROGRAM, "batch", "run", "--journal", shown(path)])
    done = "may be submitted again" if ticket is None else f"is {ticket}; `{command}` waits for it"
    output.print_message(f"{track_id} {done}")


def _check_family(endpoint: str, ticket: Ticket) -> None:
    """
    Check that the endpoint starts tickets of this family. Accept an endpoint that is not built in.

    Raises:
        ValueError: The endpoint starts tickets of another family.
    """
    known = ENDPOINTS.get(endpoint)
    family = ticket.family if known is None else known.resolved_by
    if family not in (None, ticket.family):
        raise ValueError(f"{endpoint} starts tickets such as {family}:{ticket.id}, got {ticket}")


def _print(submit: PendingSubmit, path: JournalLocation, *, as_json: bool) -> None:
    record = {
        "track_id": submit.track_id,
        "endpoint": submit.endpoint,
        "key": submit.key,
        "sent_at": sent_at(submit),
        "named_ticket": None if submit.named_ticket is None else str(submit.named_ticket),
        "input": dict(submit.columns),
    }
    if as_json:
        output.print_record(record)
        return
    key = "" if submit.key is None else f"  key {submit.key}"
    output.print_line(f"{submit.track_id}  {submit.endpoint}  sent {sent_at(submit)}{key}")
    output.print_message(
        f"{where_to_look(submit)}, then say what you found: "
        f"{settling_commands(submit.track_id, path)}"
    )
