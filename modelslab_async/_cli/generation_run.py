"""Runs the requests of a `generate` command, and prints the results and the open tickets."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, nullcontext
from typing import Any

from rich.status import Status
from rich.text import Text

from .. import (
    Client,
    Downloads,
    Event,
    Failed,
    GenerationFailed,
    Outcome,
    Polled,
    Processing,
    Saved,
    SavedFile,
    SaveResult,
    Submitted,
    Success,
    Ticket,
    Unresolved,
    Unsaved,
    Unsubmitted,
)
from .._engine.bulk_generation import BulkGeneration
from . import output
from .exit_codes_and_advice import exit_code_for, explain, explain_unsubmitted
from .exit_tally import ExitTally
from .result_record import result_record

_Request = Mapping[str, Any]
# The maximum number of prompts in progress at once.
_WINDOW = 100


class GenerationRun:
    """
    Runs the requests of one command, from the submits to the saved files.

    Args:
        endpoint: The endpoint of all requests.
        requests: The parameters of each request.
        as_json: Whether to print JSON even on a terminal.
        resume_command: Takes tickets and further options. Returns the command line that gets the
            tickets' files later.
    """

    def __init__(
        self,
        endpoint: str,
        requests: Sequence[_Request],
        *,
        as_json: bool,
        resume_command: Callable[[Iterable[Ticket], Iterable[str]], str],
    ) -> None:
        self._endpoint = endpoint
        self._requests = requests
        self._as_json = as_json
        self._resume_command = resume_command
        self._console = output.terminal_console(as_json=as_json)
        self._status: Status | None = None
        self._tally = ExitTally()
        # The tickets whose files the user can still get: not failed, and not saved yet.
        self._open: list[Ticket] = []
        # The unsaved results without an id. The service gives such a result only once.
        self._unsaved_without_id: dict[Ticket, Success] = {}
        self._request_of: dict[Ticket, _Request] = {}
        self._track_id_of: dict[Ticket, str] = {}
        # Further options for the resume command, such as `--allow-private`, to save the files that
        # this command could not save.
        self._needed_options: list[str] = []
        self._submitted = 0
        self._may_be_submitting = False

    async def on_submitted(self, submitted: Submitted) -> None:
        """Print the new ticket at once, so that the user has it even if this program is killed."""
        self._submitted += 1
        self._track_id_of[submitted.ticket] = submitted.track_id
        if submitted.ticket.has_id:
            self._open.append(submitted.ticket)
            output.print_message(f"started {submitted.ticket}")
        elif isinstance(submitted.reply, Success):
            self._unsaved_without_id[submitted.ticket] = submitted.reply
        self._show_progress()

    def on_event(self, event: Event) -> None:
        """Show the progress after each poll of a running job."""
        match event:
            case Polled(ticket=ticket, reply=Processing(status=status, eta=eta)):
                eta_text = "" if eta is None else f", about {eta:g} s to go"
                self._show_progress(f"; {ticket}: {status}{eta_text}")

    def _show_progress(self, detail: str = "") -> None:
        if self._status is not None:
            total = len(self._requests)
            counts = f"{self._submitted} of {total} started, {self._tally.handled} ended"
            self._status.update(Text(output.sanitize(counts + detail)))

    async def execute(self, client: Client, downloads: Downloads, timeout: float | None) -> None:
        """Submit all requests, wait for the work, save its files, and close the client."""
        if self._console is not None:
            self._status = self._console.status("submitting")
        self._may_be_submitting = True
        try:
            async with downloads:
                with self._status or nullcontext():
                    async for save_result in downloads.stream(self._outcomes(client, timeout)):
                        self._handle_result(save_result)
                        self._show_progress()
                        # Many results may be ready at once. Yield to the event loop after each
                        # one, so that the poller can run.
                        await asyncio.sleep(0)
        finally:
            try:
                # A second signal may interrupt `aclose` while a submit is in flight. In that case,
                # `_may_be_submitting` stays true, and the last message mentions the submit.
                await client.aclose()
                self._may_be_submitting = False
            finally:
                for ticket in tuple(self._unsaved_without_id):
                    self._print_unsaved_links(ticket)

    async def _outcomes(
        self, client: Client, timeout: float | None
    ) -> AsyncGenerator[Outcome, None]:
        requests = [(self._endpoint, request) for request in self._requests]
        bulk = BulkGeneration(client.engine, timeout, bounds_submits=True)
        async with aclosing(bulk.run(requests, _WINDOW)) as pairs:
            async for (_, request), outcome in pairs:
                if isinstance(outcome, Unsubmitted):
                    self._handle_unsubmitted(request, outcome)
                    continue
                self._request_of[outcome.ticket] = request
                yield outcome

    def _handle_unsubmitted(self, request: _Request, unsubmitted: Unsubmitted) -> None:
        cause = unsubmitted.cause
        # If the server refuses the API key, every later request ends with the same message. The
        # tally prints this message only once.
        self._tally.count_unsubmitted(cause, explain_unsubmitted(cause, self._endpoint))
        record = result_record(unsubmitted, self._endpoint)
        self._print_record(record, request, record["track_id"])

    def _handle_result(self, save_result: SaveResult) -> None:
        ticket = save_result.ticket
        match save_result:
            case Saved(files=files, success=success):
                self._count_ended(success)
                if not files:
                    output.print_message(f"{ticket}: the generation has no outputs to save")
            case Unsaved(cause=cause):
                output.print_message(explain(cause))
                self._tally.codes[exit_code_for(cause).code] += 1
                if cause.argument == "allow_private":
                    self._needed_options = ["--allow-private"]
                if not self._as_json:
                    self._print_unsaved_links(ticket, save_result.files)
            case Failed():
                output.print_message(explain(GenerationFailed.of(save_result)))
                self._count_ended(save_result)
            case Unresolved():
                self._tally.count(save_result)
        self._unsaved_without_id.pop(ticket, None)
        if isinstance(save_result, (Saved, Unsaved)) and not self._as_json:
            for file in save_result.files:
                output.print_path(self._console, file.path)
        self._print_record(
            result_record(save_result),
            self._request_of[ticket],
            self._track_id_of.get(ticket, ""),
        )

    def _count_ended(self, outcome: Success | Failed) -> None:
        self._tally.count(outcome)
        if outcome.ticket in self._open:
            self._open.remove(outcome.ticket)

    def _print_record(self, record: dict[str, Any], request: _Request, track_id: str) -> None:
        if self._as_json:
            context = {"endpoint": self._endpoint, "track_id": track_id, "parameters": request}
            output.print_record(record | context)

    def _print_unsaved_links(self, ticket: Ticket, files: Collection[SavedFile] = ()) -> None:
        """
        Print the links of a result without an id, because no command can get its files later.

        Args:
            ticket: The ticket of the result. If it has an id, nothing is printed.
            files: The files of the result that are saved. Their links are not printed.
        """
        success = self._unsaved_without_id.pop(ticket, None)
        if success is None or not success.output:
            return
        output.print_message(
            f"{ticket}: the service gives this result only once; keep its outputs:"
        )
        saved = {file.n for file in files}
        for n, link in enumerate(success.output):
            if n not in saved:
                output.print_whole_line(link)

    def interrupted_message(self) -> str:
        """Return the message after a signal: what was started, and how to get its files."""
        parts = [f"interrupted after {self._submitted} of {len(self._requests)} were started"]
        if self._may_be_submitting and self._submitted < len(self._requests):
            parts.append(
                "another may have been started: look for it in your account before you pay again"
            )
        if self._open:
            parts.append(self._resume_hint())
        return "; ".join(parts)

    def print_summary(self) -> int:
        """Print the summary, and how to get missing files later. Return the exit code."""
        code = self._tally.print_summary()
        if self._open:
            output.print_message(self._resume_hint())
        return code

    def _resume_hint(self) -> str:
        return f"get the files later with: {self._resume_command(self._open, self._needed_options)}"
