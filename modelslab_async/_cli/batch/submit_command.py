"""The command `batch submit`: turns a table of prompts into files. Never pays for a row twice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from ... import Batch
from ..._registry.endpoint import MissingParameters
from ..._submitting.endpoint_requests import EndpointRequests
from ..._transport.credentials import MissingApiKey
from .. import output
from ..account_limit_options import submitting_account_options
from ..argument_completers import complete_endpoint
from ..client_factory import UnusableKey, find_credentials, make_client, missing_key_message
from ..endpoint_parameter_options import extra_parameters_option, find_endpoint
from ..event_loop import run_async
from ..exit_codes_and_advice import SUBMIT_CODES, exit_codes
from ..exit_tally import ExitTally
from ..standard_input import source_name
from .journal_option import journal_exists
from .missing_parameter_advice import missing_parameter_advice
from .row_keys import SubmissionRow
from .rows_in_journal import RowsInJournal
from .run_and_retry_commands import make_plan, run_options
from .runner import Plan, run_batch
from .skipped_rows import SkippedRows
from .submission_input import find_unsent_columns, read_submissions
from .submission_table_spec import SubmissionTableSpec
from .ticket_and_submit_work import SubmitWork

# How many seconds a batch keeps retrying a submit during an outage, before the batch stops.
OUTAGE_S: Final = 1800.0


@click.command("submit", epilog=exit_codes(SUBMIT_CODES))
@click.argument("table", type=click.Path(allow_dash=True))
@click.option(
    "--endpoint",
    metavar="NAME",
    shell_complete=complete_endpoint,
    help="The endpoint of rows that name none in a column `endpoint`.",
)
@extra_parameters_option("A parameter of all rows that have no cell for it. Can be repeated.")
@click.option(
    "--key",
    metavar="COLUMN",
    help=(
        "The column with a name of your own for each row; else the column `key`. Exports have it "
        "as `key`, whatever COLUMN is called."
    ),
)
@click.option(
    "--send",
    "sends",
    multiple=True,
    metavar="COLUMN",
    help="Send this column too, although `endpoints` does not list it as a parameter.",
)
@click.option(
    "--input-format",
    type=click.Choice(["text", "csv", "json"]),
    help="The format of TABLE, if its name does not say it.",
)
@click.option("--strict", is_flag=True, help="Start nothing if a row has an error.")
@click.option(
    "--most",
    type=click.IntRange(min=0),
    metavar="COUNT",
    help="Send nothing if this command would start, and pay for, more generations.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be submitted, and send nothing.")
@run_options
@submitting_account_options
def submit(
    table: str,
    *,
    endpoint: str | None,
    extra_parameters: Sequence[tuple[str, str]],
    key: str | None,
    sends: tuple[str, ...],
    input_format: str | None,
    strict: bool,
    most: int | None,
    dry_run: bool,
    base_url: str | None,
    legacy_base_url: str | None,
    **plan_arguments: Any,
) -> int:
    """
    Start a generation for each row of TABLE, wait for all, and save their files.

    TABLE is text in UTF-8: JSON lines, a JSON array, a CSV file whose columns are parameters, or a
    prompt on each line. `-` reads standard input. A column that is no parameter of the endpoint is
    not sent, is named on standard error, and comes back in exports.

    However this program ends, even by kill -9, the same command resumes. No row is paid for twice:
    a row that was submitted is in the journal. A row whose submit may or may not have arrived is
    reported, and never sent again. A row with an error is reported by its number and skipped.

    The first Ctrl-C stops after the current downloads. The second Ctrl-C stops at once, but waits
    for the replies to submits in flight, because they may be paid for. The third Ctrl-C does not
    wait for them. SIGTERM does the same as Ctrl-C.
    """
    plan = make_plan(plan_arguments, source=table, source_kind="table")
    find_credentials()
    defaults = _group_by_name(extra_parameters)
    if endpoint is not None:
        find_endpoint(endpoint)
    spec = SubmissionTableSpec(endpoint, defaults, key, sends, input_format)
    tally, base_urls = ExitTally(), (base_url, legacy_base_url)
    # This client only checks the rows. `run_batch` makes the client that sends them.
    endpoints = make_client(*base_urls).engine.endpoints
    rows = _read_rows(table, spec, endpoints, tally)
    _check_bad_rows(tally, strict=strict)
    if not rows:
        _report_no_rows(source_name(table), tally.handled, quiet=plan.quiet)
    if not plan.quiet and (columns := find_unsent_columns(rows, spec)):
        # The message ends with the names of the columns, because a long message is cut at its end.
        output.print_message(f"columns not sent (--send COLUMN sends one): {', '.join(columns)}")
    if dry_run:
        return _print_dry_run(plan, rows, endpoints, tally, most)
    work = SubmitWork(rows=rows, endpoints=endpoints, max_submits=most)
    return run_batch(plan, base_urls, work, tally=tally, max_submits=most, unsent_timeout=OUTAGE_S)


def _group_by_name(pairs: Sequence[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    grouped: dict[str, tuple[str, ...]] = {}
    for name, text in pairs:
        grouped[name] = (*grouped.get(name, ()), text)
    return grouped


def _read_rows(
    table: str, spec: SubmissionTableSpec, endpoints: EndpointRequests, tally: ExitTally
) -> list[SubmissionRow]:
    """
    Read the whole table, before anything is sent.

    Raises:
        click.UsageError: The table cannot be read, no row has an endpoint, two columns name the
            same parameter, or `--send` names a column that the table lacks.
        UnusableKey: An endpoint needs an API key that is not set.
    """
    skipped = SkippedRows(source_name(table))

    def check(
        endpoint: str, parameters: Mapping[str, Any], key: str | None, cells: Mapping[str, Any]
    ) -> None:
        try:
            endpoints.check(endpoint, parameters, key)
        except MissingApiKey as error:
            # End the command, because without the key every row of this endpoint would be skipped.
            raise UnusableKey(f"{endpoint}: {missing_key_message(error)}") from None
        except MissingParameters as error:
            advice = missing_parameter_advice(error.names, cells)
            raise ValueError(f"{error}; {advice}") from None

    try:
        return [*read_submissions(table, spec, check, skipped.add)]
    finally:
        skipped.report(tally)


def _check_bad_rows(tally: ExitTally, *, strict: bool) -> None:
    """
    Stop the command if a row has an error and the user gave `--strict`.

    Raises:
        click.UsageError: A row has an error, and `strict` is true.
    """
    if strict and tally.handled:
        raise click.UsageError(
            output.count_of(tally.handled, "row has an error", "rows have an error")
            + ", so nothing was started"
        )


def _report_no_rows(source: str, skipped: int, *, quiet: bool) -> None:
    """Print why there is nothing to submit: the table is empty, or all its rows were skipped."""
    if skipped:
        rows = "the only row" if skipped == 1 else f"all {skipped:,} rows"
        verb = "was" if skipped == 1 else "were"
        output.print_message(f"{rows} of {source} {verb} skipped, so nothing was submitted")
    elif not quiet:
        output.print_message(f"{source} is empty: it holds no prompts")


def _print_dry_run(
    plan: Plan,
    rows: Sequence[SubmissionRow],
    endpoints: EndpointRequests,
    tally: ExitTally,
    most: int | None,
) -> int:
    if not rows and tally.handled:
        return tally.print_summary()

    async def compare() -> tuple[RowsInJournal, list[SubmissionRow]]:
        if not await journal_exists(plan.path):
            return RowsInJournal(rows=rows, new=rows), []
        async with Batch.open(plan.path) as batch:
            found = await RowsInJournal.find(batch, endpoints, rows, saves_files=False)
            return found, await found.conflicts(endpoints)

    found, conflicts = run_async(compare)
    found.check_keys()
    found.check_count(most)
    for row in conflicts:
        tally.count_skipped(
            f"{row.location}: the key {row.submission.key!r} is in the journal for another "
            "endpoint or other parameters: the row would end as a conflict"
        )
    new = found.new
    if plan.as_json:
        for row in new:
            output.print_record({"row": row.location, **row.submission.to_dict()})
    counts = Counter(row.submission.endpoint for row in new)
    details = "".join(f"; {count:,} x {name}" for name, count in counts.most_common())
    output.print_message(
        f"{output.count_of(len(rows), 'row', 'rows')}, "
        f"{len(rows) - len(new):,} of them in the journal; "
        f"{len(new):,} would be submitted, and nothing was{details}"
        + (f"; {len(conflicts):,} would end as conflicts" if conflicts else "")
    )
    return tally.print_summary()
