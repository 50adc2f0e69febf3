"""PostgresMembership: sends one client's reports to a `PostgresAccount`, and reads the answers."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from .._journal.process_identity import has_died, this_process
from .._models.ticket import Ticket
from .._parsing.webhook_ids import WebhookHint
from .._postgres.postgres_driver import quote_name
from .._postgres.store_clock import StoreClock
from . import webhook_hint_codec
from .postgres_connection import PostgresConnection
from .postgres_notify_sql import channel_of
from .report_and_answer_types import (
    ASKING_INTERVAL_S,
    Allotments,
    HeldTicket,
    KeyAllotment,
    KeyReport,
    Pauses,
    Reports,
)
from .shared_limits import SharedLimits

# Seconds between two reports of a client that waits for a slot. The database announces free slots,
# so reports need not be frequent. But a client that sends none for half a second loses its turn.
_LISTENING_INTERVAL_S: Final = 0.2

# A client's first exchange. If no other client is open, this exchange sets the account's limits. If
# other clients are open with other limits, the exchange is rejected. `open_account` locks the
# account until this statement ends. So if two clients join at the same time, the second client
# finds the limits of the first.
_JOIN: Final = """
    WITH opened AS MATERIALIZED (SELECT SCHEMA.open_account($8::float8, $9::integer, $5) AS held)
    SELECT CASE
        WHEN (held->>'rate')::float8 IS NOT DISTINCT FROM $8
            AND (held->>'queue')::integer IS NOT DISTINCT FROM $9
        THEN SCHEMA.exchange($1, $2, $3, $4, $5, $6, $7)
        ELSE jsonb_build_object('held', held)
    END::text FROM opened
"""
_CLIENTS: Final = "SELECT client, process FROM SCHEMA.clients"


class PostgresMembership:
    """
    One client as a member of a `PostgresAccount`.

    An exchange sends the client's reports, and the reply says what the client may use. A reply can
    be lost, so the client numbers its exchanges. Each exchange also contains the number of the
    latest reply that arrived. If later replies were lost, the server repeats their adopted tickets
    in its next reply. The server rejects an exchange that arrives after one with a higher number.

    Args:
        connection: A connection for this client alone.
        schema: The schema of the account.
        limits: The limits that the caller gave to the `PostgresAccount`.
        store_clock: Estimates the time on the server's clock.
    """

    def __init__(
        self,
        connection: PostgresConnection,
        schema: str,
        limits: SharedLimits,
        store_clock: StoreClock,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._limits = limits
        self._store_clock = store_clock
        self._client = secrets.randbits(62) + 1
        self._process = this_process()
        self._number = 0
        self._heard = 0
        self._last_hint = 0
        self._neighbours: list[tuple[int, str]] = []

    @property
    def waiting_interval_s(self) -> float:
        """The seconds between two reports while a submit waits for a slot."""
        return _LISTENING_INTERVAL_S if self._connection.is_listening else ASKING_INTERVAL_S

    def call_on_news(self, on_news: Callable[[], object]) -> None:
        """Call `on_news` when a slot may be free, and when another client adds a webhook hint."""
        self._connection.listen(channel_of(self._client), on_news)

    def clock(self) -> float:
        """Return the time on the server's clock."""
        return self._store_clock.at(time.monotonic())

    async def exchange(self, reports: Reports) -> Allotments:
        """
        Record the client's usage, and return what the client may use from now on.

        The first report sets the limits of the account if no other client is open.

        Raises:
            OtherLimits: At the first report, other clients are open with other limits.
            AccountError: The server cannot be reached or used.
        """
        return await self._exchange(reports, is_leaving=False)

    async def share_hints(self, hints: Sequence[WebhookHint]) -> Sequence[WebhookHint]:
        """
        Pass webhook hints to the other clients, and return hints from them.

        The result contains the hints that were added since the previous call.

        Raises:
            AccountError: The server cannot be reached or used.
        """
        reply = await self._connection.fetch_json(
            f"SELECT {quote_name(self._schema)}.share_hints($1, $2, $3, $4)::text",
            *(self._client, self._last_hint, webhook_hint_codec.write_hints(hints)),
            webhook_hint_codec.MAX_COUNT,
        )
        self._last_hint = reply["last_read"]
        return webhook_hint_codec.read_hints(reply["bodies"])

    async def leave(self, reports: Reports) -> None:
        """
        Record the client's tickets, so that other clients can adopt them. Close the connection.

        Raises:
            AccountError: The server cannot be reached or used.
        """
        try:
            await self._exchange(reports, is_leaving=True)
        finally:
            await self._connection.aclose()

    async def _exchange(self, reports: Reports, *, is_leaving: bool) -> Allotments:
        self._number = number = self._number + 1
        sent = time.monotonic()
        statement = f"SELECT {quote_name(self._schema)}.exchange($1, $2, $3, $4, $5, $6, $7)::text"
        join_arguments: tuple[object, ...] = ()
        if not self._heard and not is_leaving:
            statement = _JOIN.replace("SCHEMA", quote_name(self._schema))
            join_arguments = self._limits
        body = json.dumps({key: _to_json(report) for key, report in reports.items()})
        while True:
            dead = [client for client, process in self._neighbours if has_died(process)]
            reply = await self._connection.fetch_json(
                statement,
                *(self._client, self._process, number, self._heard, dead, body, is_leaving),
                *join_arguments,
            )
            if "held" not in reply:
                break
            # Other clients are recorded as open, with other limits. Their processes may have died.
            await self._find_dead_clients(reply["held"])
        self._store_clock.observe(sent=sent, received=time.monotonic(), theirs=reply["now"])
        allotments = {
            key: _from_json(allotment, reports[key])
            for key, allotment in reply["allotments"].items()
        }
        # `_heard` tells the server which reply was the latest that the client has parsed. Set it
        # only after parsing: if parsing fails, the server sends the tickets of this reply again.
        self._heard = number
        self._neighbours = reply["neighbours"]
        return allotments

    async def _find_dead_clients(self, held: dict[str, Any]) -> None:
        """
        Load the clients that are recorded as open. The next attempt reports which of them died.

        Raises:
            OtherLimits: No process has died, so the other clients are open and have other limits.
        """
        rows = await self._connection.fetch(_CLIENTS.replace("SCHEMA", quote_name(self._schema)))
        self._neighbours = [(client, process) for client, process in rows]
        if not any(has_died(process) for _, process in self._neighbours):
            recorded = SharedLimits(held["rate"], held["queue"])
            raise self._limits.refusal(self._connection.shown, recorded)


def _to_json(report: KeyReport) -> dict[str, Any]:
    use = report.slots
    return {
        "tickets": [
            (each.ticket.family, each.ticket.id, each.endpoint, each.submitted_at)
            for each in use.tickets
        ],
        "in_flight": use.in_flight,
        "uncertain": use.uncertain_until,
        "waiting": use.waiting,
        "polls_wanted": report.polls_wanted,
        "poll_results": [
            (each.granted, each.rests_from, each.is_open) for each in report.poll_results
        ],
        "pauses": (report.pauses.submits, report.pauses.polls),
    }


def _from_json(allotment: dict[str, Any], report: KeyReport) -> KeyAllotment:
    submits, polls = allotment["pauses"]
    poll_times = allotment.get("poll_times")
    limits: dict[str, Any] = {}
    if "granted" in allotment:
        adopted = tuple(
            HeldTicket(Ticket(family, id_), endpoint, submitted_at)
            for family, id_, endpoint, submitted_at in allotment["adopted"]
        )
        limits = {
            "slot_limit": report.slots.total + len(adopted) + allotment["granted"],
            "has_other_waiters": allotment["others"],
            "adopted": adopted,
        }
    return KeyAllotment(
        poll_times=None if poll_times is None else tuple(poll_times),
        pauses=Pauses(submits=submits, polls=polls),
        **limits,
    )
