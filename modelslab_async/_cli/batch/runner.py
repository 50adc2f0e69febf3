"""Runs a batch once, shows its progress, and reports its result as messages and an exit code."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import click
from attrs import frozen

from ... import (
    AuthenticationError,
    Batch,
    Client,
    Downloads,
    GenerationFailed,
    JournalDamaged,
    PaymentRequired,
    SubmitUncertain,
    TransportError,
    Unresolved,
    Unsaved,
    Unsubmitted,
)
from ..._account.shared_limits import OtherLimits
from ..._batch.batch_runs import BatchRuns
from ..._polling.status_client import UnknownFamily
from ..._transport.credentials import MissingApiKey
from .. import output
from ..account_limit_options import AccountLimits
from ..client_factory import UnusableKey, make_client, missing_key_message
from ..event_loop import run_async
from ..exit_codes_and_advice import explain, explain_unsaved, explain_unsubmitted
from ..exit_tally import ExitTally
from ..out_folder_check import check_out_folder
from ..result_record import result_record
from ..shared_command_errors import Interrupted, other_limits_error
from .export_file import write_export
from .interrupt import drain_on_signal
from .journal_exit_codes import JournalExitCodes
from .journal_option import JournalLocation, journal_command
from .missing_saved_files import find_missing_files
from .outage_log_filter import rare_outage_warnings
from .progress import RunProgress
from .progress_display import print_summary, show_progress
from .ticket_and_submit_work import BatchWork, WorkResult
from .uncertain_advice import with_command


@frozen(kw_only=True)
class Plan:
    """The values of the options that are common to all commands that run a batch."""

    path: JournalLocation
    folder: Path | None
    export: Path | None
    timeout: float | None
    concurrency: int
    max_bytes: int
    link_timeout: float
    allow_private: bool
    quiet: bool
    as_json: bool
    limits: AccountLimits


def run_batch(
    plan: Plan,
    base_urls: tuple[str | None, str | None],
    work: BatchWork,
    *,
    tally: ExitTally | None = None,
    max_submits: int | None = None,
    unsent_timeout: float = 30.0,
) -> int:
    """
    Run a batch, and return the exit code for the whole journal.

    Args:
        plan: The options of the command.
        base_urls: The values of the options `--base-url` and `--legacy-base-url`.
        work: What to poll or to submit.
        tally: Counts the results.
        max_submits: How many submits the run may pay for. None for no limit.
        unsent_timeout: How many seconds to keep retrying a submit that cannot be sent.
    """
    progress, tally = RunProgress(), tally or ExitTally()
    client = make_client(
        *base_urls,
        on_event=progress.on_event,
        limits=plan.limits,
        max_submits=max_submits,
        unsent_timeout=unsent_timeout,
    )
    batch_run = _BatchRun(plan, client, _make_downloads(plan, client), progress, tally)
    try:
        summary = run_async(batch_run.execute, work)
    except KeyboardInterrupt:
        raise Interrupted(_interrupted_message(progress)) from None
    except OtherLimits as error:
        raise other_limits_error(error) from None
    except ValueError as error:
        raise _ticket_error(error) from None
    if plan.quiet:
        for line in progress.failure_lines():
            output.print_message(line)
    elif not plan.as_json:
        print_summary(output.make_console(), progress)
    if progress.is_stopping:
        raise Interrupted(_interrupted_message(progress))
    _print_export_hint(plan, progress)
    for line in summary.messages(progress.failed):
        output.print_message(line)
    tally.codes.update(summary.codes(progress.given_up))
    return tally.print_summary()


def _make_downloads(plan: Plan, client: Client) -> Downloads | None:
    """
    Make the `Downloads` of a run. Return None if the run saves no files.

    Raises:
        click.UsageError: The folder cannot be written, or its path cannot be recorded.
    """
    if plan.folder is None:
        return None
    downloads = Downloads(
        client,
        to=plan.folder,
        concurrency=plan.concurrency,
        max_bytes=plan.max_bytes,
        link_timeout=plan.link_timeout,
        allow_private=plan.allow_private,
    )
    try:
        BatchRuns.check_downloads(downloads)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    check_out_folder(plan.folder)
    return downloads


def _print_export_hint(plan: Plan, progress: RunProgress) -> None:
    """Print the command that lists why tickets failed, unless `--export` or `--json` is given."""
    if progress.failed and plan.export is None and not plan.as_json:
        command = journal_command(plan.path, "export", "-", "--file-format", "jsonl")
        output.print_message(f"`{command}` lists each outcome with its row, and why it failed")


def _ticket_error(error: ValueError) -> click.ClickException:
    """Convert the error for a ticket that cannot be polled into an error of the command."""
    text = "all tickets that this command polled have ended, but it cannot poll another one: "
    match error:
        case MissingApiKey():
            return UnusableKey(text + missing_key_message(error))
        case UnknownFamily(family=family):
            advice = "a program in Python can run more families: Client(families=...)"
            return click.UsageError(f"{text}unknown family {family!r}; {advice}")
        case _:
            return click.UsageError(f"{text}{error}")


def _interrupted_message(progress: RunProgress) -> str:
    # `total` is 0 until the run has read the journal. Until then, `open` has no meaning.
    state = f" with {progress.open:,} open" if progress.total else ""
    return f"interrupted{state}; run the same command again to resume"


class _BatchRun:
    """Runs a batch once with a client, and handles each result."""

    def __init__(
        self,
        plan: Plan,
        client: Client,
        downloads: Downloads | None,
        progress: RunProgress,
        tally: ExitTally,
    ) -> None:
        self._plan = plan
        self._client = client
        self._downloads = downloads
        self._progress = progress
        self._tally = tally
        self._has_option_advice = False

    async def execute(self, work: BatchWork) -> JournalExitCodes:
        """Run the batch, and return what the journal holds after it."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._client)
            batch = await stack.enter_async_context(Batch.open(self._plan.path, client=client))
            is_saving = self._plan.folder is not None
            to_submit = await work.prepare(batch, saves_files=is_saving)
            self._progress.begin(await batch.report(), is_saving=is_saving, to_submit=to_submit)
            stack.enter_context(drain_on_signal(lambda: self._drain(batch)))
            stack.enter_context(rare_outage_warnings())
            await self._run(batch, work)
            if self._plan.export is not None and not self._progress.is_stopping:
                await write_export(batch, self._plan.export)
            missing_files = None
            if (folder := self._plan.folder) is not None:
                missing_files = await find_missing_files(folder, batch, self._plan.path)
            return JournalExitCodes(await batch.report(), missing_files, await batch.uncertain())

    def _drain(self, batch: Batch) -> None:
        self._progress.is_stopping = True
        batch.drain()

    async def _run(self, batch: Batch, work: BatchWork) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                show_progress(self._progress, batch.report, quiet=self._plan.quiet)
            )
            if self._downloads is not None:
                await stack.enter_async_context(self._downloads)
            results = work.results(batch, self._downloads, self._plan.timeout)
            await stack.enter_async_context(aclosing(results))
            async for result in results:
                self._handle_result(result)
                if _is_unsent(result.result):
                    # This submit has failed after `unsent_timeout` seconds of attempts. Each
                    # further submit would take as long to fail, so the run stops here.
                    batch.drain()
                # Many results may be ready at once. Let the poller run after each.
                await asyncio.sleep(0)

    def _handle_result(self, work_result: WorkResult) -> None:
        result = work_result.result
        if isinstance(result, Unsubmitted) and isinstance(result.cause, SubmitUncertain):
            result = Unsubmitted(cause=with_command(result.cause, self._plan.path))
        self._progress.count_result(result, work_result.name, was_recorded=work_result.was_recorded)
        match result:
            case Unresolved(cause=JournalDamaged() as damaged):
                # This ticket's row in the journal is damaged. Do not count the ticket here, because
                # the journal's report counts it.
                output.print_message(explain(damaged))
            case Unresolved():
                self._tally.count(result)
            case Unsaved(cause=cause) if cause.argument and not self._has_option_advice:
                # Saving this file needs an option that the user has not given. Say so at once,
                # because most later files will need the same option.
                self._has_option_advice = True
                if not self._plan.quiet:
                    reason = explain_unsaved(cause.message, cause.argument)
                    output.print_message(f"{work_result.name}: not saved: {reason}")
            case Unsubmitted(cause=cause):
                message = explain_unsubmitted(cause, work_result.endpoint)
                if isinstance(cause, GenerationFailed):
                    message += ", and the next start submits the row again"
                # If the service refuses the API key, no credits are left, or the network is down,
                # every row fails in the same way. In these cases, the message does not name the
                # row. So the messages are equal, and the tally prints only one of them.
                is_account_refused = isinstance(cause, (AuthenticationError, PaymentRequired))
                name = "" if is_account_refused or _is_unsent(result) else f"{work_result.name}: "
                self._tally.count_unsubmitted(cause, f"{name}{message}")
        if self._plan.as_json:
            record = result_record(result, work_result.endpoint)
            output.print_record(record | work_result.details)


def _is_unsent(result: object) -> bool:
    """Whether a result says that a submit failed before any of it was sent."""
    match result:
        case Unsubmitted(cause=TransportError(may_have_been_sent=may_have_been_sent)):
            return not may_have_been_sent
        case _:
            return False
