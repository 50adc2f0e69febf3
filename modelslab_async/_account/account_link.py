"""AccountLink: reports a client's usage to a shared account, and applies the account's answers."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context

from attrs import evolve

from .._aio.yield_and_wakeup import Wakeup
from .._models.account_errors import AccountError
from .._models.errors import RateLimited
from .._models.events import Event, Paused
from .._models.key_kind import Tier
from .._models.unresolved_outcomes import Outcome, Unresolved
from .._parsing.webhook_ids import WebhookHint
from .._polling.poller import Poller
from .._scheduling.rate_limiter import PollRate
from .._scheduling.schedule import Schedule
from .._submitting.slot_polls import SlotPolls
from .._submitting.slots import Slots
from .granted_poll_times import GrantedPollTimes
from .granted_slots import GrantedSlots
from .poll_permit_rules import GIVE_UP_AFTER_S
from .report_and_answer_types import KeyAllotment, KeyReport, Membership, Pauses, Reports, SlotUse
from .shared_limits import OtherLimits
from .silence_timer import SilenceTimer
from .webhook_hint_exchange import HintExchange

_logger = logging.getLogger("modelslab_async")

# Seconds between two reports of a client that has open tickets, used slots or granted poll times.
_OPEN_INTERVAL_S = 0.25
# Seconds between two reports of an idle client. An account may remove a client that has not
# reported for 30 seconds.
_IDLE_INTERVAL_S = 10.0
# Seconds from a failed report to the next attempt. An idle client also waits this long before it
# retries webhook hints that it could not send.
_RETRY_INTERVAL_S = 1.0
# If an answer comes more than this many seconds after its report, the client ignores the slots in
# it. If 30 seconds pass without another report, the account regards the client as dead, and may
# grant these slots to other clients.
_MAX_ANSWER_AGE_S = 15.0
# A pause in an answer is new if it ends more than this many seconds after the pause that the client
# already knows. A smaller difference may come from inexact clocks.
_NEW_PAUSE_S = 0.05


class AccountLink:
    """
    Reports one client's usage to a shared account, and applies the account's answers.

    Args:
        membership: The client's membership in the account.
        digest_of: Returns the digest of an API key. The account gets only this digest, not the key.
        has_rate: Whether the account limits the poll rate. If true, polls wait for the account's
            first answer.
    """

    def __init__(
        self, membership: Membership, digest_of: Callable[[Tier], str], *, has_rate: bool
    ) -> None:
        self._membership = membership
        self._digest_of = digest_of
        self._has_rate = has_rate
        self._slots: dict[Tier, GrantedSlots] = {}
        self._poll_times: dict[Tier, GrantedPollTimes] = {}
        self._polls_paused_until: dict[Tier, float] = {}
        self._hints = HintExchange(membership)
        self._silence_timer = SilenceTimer(self._give_up_polls)
        self._wakeup = Wakeup()
        self._task: asyncio.Task[None] | None = None
        self._refusal: OtherLimits | None = None
        self._is_failing = False
        self._is_leaving = False
        self._is_idle = False

    def start(
        self, schedule: Schedule, poller: Poller, on_hint: Callable[[WebhookHint], object]
    ) -> None:
        """
        Start the task that sends reports.

        The task calls `on_hint` with each webhook hint from another client. A hint holds the ids of
        tickets that should be polled now.
        """
        self._schedule = schedule
        self._poller = poller
        self._on_hint = on_hint
        poller.notifier.on_unawaited = self._share_end
        poller.on_first_ticket = self._end_idling
        self._membership.call_on_news(self.wake)
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="modelslab_async account", context=Context()
        )

    async def aclose(self) -> None:
        """Leave the account. Tickets that are still open keep their slots."""
        if self._task is None:
            return
        # Let a report in progress finish: its answer may assign tickets of dead clients to this
        # client. The final report must list these tickets too, so that they keep their slots.
        self._is_leaving = True
        self.wake()
        await asyncio.wait((self._task,))
        for slots in self._slots.values():
            slots.end_polls_for_others()
        self._silence_timer.start(asyncio.get_running_loop().time())
        try:
            try:
                await self._hints.share(reads_others=False)
            finally:
                await self._membership.leave(self._last_report())
        except Exception as error:  # noqa: BLE001 -- an account may raise anything.
            _logger.warning("the account was left without a last report: %s", error)
        finally:
            self._silence_timer.stop()

    def wake(self) -> None:
        """Send a report now, instead of after the current interval."""
        self._wakeup.wake()

    def share_hint(self, hint: WebhookHint) -> None:
        """Pass a webhook on to the other clients, so that they poll its ticket."""
        self._hints.outgoing.append(hint)
        self.wake()

    def _share_end(self, outcome: Outcome) -> None:
        """Tell the other clients that a ticket has ended, because they may wait for it too."""
        if not isinstance(outcome, Unresolved):
            self.share_hint(WebhookHint((outcome.ticket.id,), ""))

    def make_slots(self, tier: Tier, polls: SlotPolls) -> Slots:
        """Create the slots for one API key. The account decides how many this client may use."""
        self._slots[tier] = slots = GrantedSlots(polls=polls, on_change=self.wake)
        if self._refusal is not None:
            slots.close(self._refusal)
        return slots

    def poll_rate_of(self, tier: Tier) -> PollRate:
        """Create the rate limiter for polls with one API key."""
        self._poll_times[tier] = poll_times = GrantedPollTimes(
            asyncio.get_running_loop().time, self.wake, is_limited=self._has_rate
        )
        return poll_times

    def on_event(self, event: Event) -> None:
        """If the event is a pause after a rate limit, report the pause to the account."""
        if isinstance(event, Paused) and isinstance(event.cause, RateLimited):
            until = asyncio.get_running_loop().time() + event.seconds
            self._polls_paused_until[event.tier] = until
            self.wake()

    async def _run(self) -> None:
        while not self._is_leaving:
            try:
                waits = await self._exchange()
                if self._is_failing:
                    _logger.info("the account can be used again; submits and polls go on")
                self._is_failing = False
            except OtherLimits as refusal:
                self._refuse(refusal)
                return
            # Catch every error, because all submits would wait forever if this task ended.
            except Exception as error:
                if not self._is_failing:
                    trace = None if isinstance(error, AccountError) else error
                    _logger.warning(
                        "submits and polls wait for the account: %s", error, exc_info=trace
                    )
                self._is_failing = True
                await asyncio.sleep(_RETRY_INTERVAL_S)
                continue
            await self._wakeup.wait(self._interval(waits=waits))

    def _refuse(self, refusal: OtherLimits) -> None:
        """Make all current and later waits and submits raise `refusal`."""
        self._refusal = refusal
        self._silence_timer.stop()
        self._poller.stop(refusal)
        for slots in self._slots.values():
            slots.close(refusal)

    async def _exchange(self) -> bool:
        """
        Send a report, and apply the answer.

        Return whether a submit is waiting only for a slot.
        """
        offset = self._offset()
        reports = self._report(offset)
        sent = asyncio.get_running_loop().time()
        self._silence_timer.start(sent)
        allotments = await self._membership.exchange(reports)
        self._silence_timer.record_answer(sent)
        self._forget_results(reports)
        is_late = asyncio.get_running_loop().time() > sent + _MAX_ANSWER_AGE_S
        # The answer may show that the account's clock was changed, so compute the offset again.
        offset = self._offset()
        for tier in self._tiers():
            allotment = allotments.get(self._digest_of(tier))
            if allotment is not None:
                if is_late and allotment.slot_limit is not None:
                    allotment = evolve(allotment, slot_limit=0)
                self._apply(tier, allotment, offset)
        for hint in await self._hints.try_share(reads_others=bool(len(self._schedule))):
            self._on_hint(hint)
        self._silence_timer.stop()
        return any(slots.count_admissible() for slots in self._slots.values())

    def _report(self, offset: float) -> dict[str, KeyReport]:
        reports: dict[str, KeyReport] = {}
        for tier in self._tiers():
            slots, poll_times = self._slots.get(tier), self._poll_times.get(tier)
            pauses = Pauses(
                submits=max(0.0, slots.paused_until + offset) if slots is not None else 0.0,
                polls=max(0.0, self._polls_paused_until.get(tier, -offset) + offset),
            )
            reports[self._digest_of(tier)] = KeyReport(
                slots=SlotUse() if slots is None else slots.use(offset),
                polls_wanted=0 if poll_times is None else poll_times.wanted,
                poll_results=() if poll_times is None else poll_times.report_results(),
                pauses=pauses,
            )
        return reports

    def _last_report(self) -> dict[str, KeyReport]:
        """Return the client's final reports, which ask for no more poll times."""
        reports = self._report(self._offset())
        for tier, poll_times in self._poll_times.items():
            digest = self._digest_of(tier)
            results = poll_times.report_last_results()
            reports[digest] = evolve(reports[digest], polls_wanted=0, poll_results=results)
        return reports

    def _forget_results(self, reports: Reports) -> None:
        """Forget the poll results in these reports, because the account knows them now."""
        for tier, poll_times in self._poll_times.items():
            if self._digest_of(tier) in reports:
                poll_times.forget_reported()

    def _give_up_polls(self) -> None:
        """
        Cancel old polls in flight, because the account does not answer.

        Once a poll is `MAX_POLL_AGE_S` old, the account may give the poll's permit to another
        client. If the network then delivered the old poll too, the server could get too many polls
        at once.
        """
        if any(poll_times.has_open_times for poll_times in self._poll_times.values()):
            self._poller.give_up_polls(GIVE_UP_AFTER_S)

    def _apply(self, tier: Tier, allotment: KeyAllotment, offset: float) -> None:
        polls_paused_until = allotment.pauses.polls - offset
        if polls_paused_until > self._polls_paused_until.get(tier, 0.0) + _NEW_PAUSE_S:
            self._polls_paused_until[tier] = polls_paused_until
            now = asyncio.get_running_loop().time()
            if polls_paused_until > now:
                self._schedule.hosts.pause_tier(tier, now, polls_paused_until - now)
        if (slots := self._slots.get(tier)) is not None:
            slots.pause(allotment.pauses.submits - offset)
            slots.apply(allotment, offset)
        if (poll_times := self._poll_times.get(tier)) is not None:
            may_poll_sooner = poll_times.is_limited and allotment.poll_times != ()
            poll_times.is_limited = allotment.poll_times is not None
            if allotment.poll_times:
                poll_times.grant(allotment.poll_times, offset)
            if may_poll_sooner:
                self._poller.rearm()

    def _tiers(self) -> list[Tier]:
        return list({**dict.fromkeys(self._slots), **dict.fromkeys(self._poll_times)})

    def _offset(self) -> float:
        """Return the account's clock minus the clock of the event loop."""
        return self._membership.clock() - asyncio.get_running_loop().time()

    def _end_idling(self) -> None:
        """If the client was idle, report now and read the webhook hints of other clients."""
        if self._is_idle:
            self.wake()

    def _interval(self, *, waits: bool) -> float:
        in_use = any(slots.used for slots in self._slots.values()) or any(
            poll_times.has_open_times for poll_times in self._poll_times.values()
        )
        self._is_idle = not (waits or in_use or len(self._schedule))
        if waits:
            return self._membership.waiting_interval_s
        if not self._is_idle:
            return _OPEN_INTERVAL_S
        return _RETRY_INTERVAL_S if self._hints.outgoing else _IDLE_INTERVAL_S
