"""Maps each operation for SQLite to the corresponding function for PostgreSQL."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from . import (
    exports,
    lease_rows,
    own_submits,
    pace_state,
    postgres_export,
    postgres_files,
    postgres_leases,
    postgres_pace_state,
    postgres_queries,
    postgres_results_of_tickets,
    postgres_save_queue,
    postgres_submits,
    postgres_tickets,
    queries,
    recorded_files,
    results_of_tickets,
    save_queue,
    submits,
    tickets,
)

COUNTERPARTS: Final[Mapping[Callable[..., Any], Callable[..., Any]]] = MappingProxyType(
    {
        tickets.add: postgres_tickets.add,
        tickets.complete: postgres_tickets.complete,
        tickets.record_polls: postgres_tickets.record_polls,
        tickets.end_run: postgres_tickets.end_run,
        tickets.reopen_failed: postgres_tickets.reopen_failed,
        lease_rows.begin: postgres_leases.begin,
        lease_rows.renew: postgres_leases.renew,
        lease_rows.claim: postgres_leases.claim,
        submits.record_submit: postgres_submits.record_submit,
        own_submits.record_own: postgres_submits.record_own,
        submits.confirm: postgres_submits.confirm,
        own_submits.confirm_sent: postgres_submits.confirm_sent,
        submits.withdraw: postgres_submits.withdraw,
        own_submits.withdraw_own: postgres_submits.withdraw_own,
        own_submits.mark_uncertain: postgres_submits.mark_uncertain,
        submits.uncertain: postgres_submits.uncertain,
        submits.orphaned: postgres_submits.orphaned,
        submits.find: postgres_submits.find,
        submits.find_by_key: postgres_submits.find_by_key,
        save_queue.queue_saves: postgres_save_queue.queue_saves,
        save_queue.requeue_saves: postgres_save_queue.requeue_saves,
        save_queue.claim: postgres_save_queue.claim,
        save_queue.complete_save: postgres_save_queue.complete_save,
        save_queue.unsaved: postgres_save_queue.unsaved,
        recorded_files.record_file: postgres_files.record_file,
        recorded_files.files_of: postgres_files.files_of,
        recorded_files.page_of_files: postgres_files.page_of_files,
        results_of_tickets.results_of: postgres_results_of_tickets.results_of,
        results_of_tickets.submitted_keys: postgres_results_of_tickets.submitted_keys,
        queries.report: postgres_queries.report,
        queries.last: postgres_queries.last,
        queries.outcome_page: postgres_queries.outcome_page,
        exports.export: postgres_export.export,
        pace_state.save: postgres_pace_state.save_pace,
        pace_state.load: postgres_pace_state.load_pace,
    }
)
# Operations that read a whole batch. Each gets a connection of its own, so that other operations do
# not wait for it.
SNAPSHOTS: Final = frozenset(
    {queries.report, exports.export, results_of_tickets.submitted_keys, save_queue.unsaved}
)
# Operations that record the ticket of paid work. After a lost connection, a closing journal gives
# up other operations after a few seconds, but it repeats these for minutes. Otherwise the ticket
# would be lost.
OUTLASTS_LEAVING: Final = frozenset({submits.confirm, own_submits.confirm_sent})
# Maps an operation to the function that undoes it. This function is called if the operation's
# caller got an error although the operation may have been committed.
UNDO: Final[Mapping[Callable[..., Any], Callable[..., Any]]] = MappingProxyType(
    {
        submits.record_submit: postgres_submits.undo_record_submit,
        own_submits.record_own: postgres_submits.undo_record_submit,
    }
)
