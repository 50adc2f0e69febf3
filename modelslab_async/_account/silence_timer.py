"""SilenceTimer: calls a function once a second while a shared account does not answer."""

import asyncio
from collections.abc import Callable
from contextvars import Context

from attrs import define

from .poll_permit_rules import GIVE_UP_AFTER_S

# The number of seconds between two calls of `on_silence`.
_INTERVAL_S = 1.0


@define(eq=False)
class SilenceTimer:
    """
    Calls `on_silence` once a second while a shared account does not answer.

    The first call comes `GIVE_UP_AFTER_S` seconds after the client sent the latest report that was
    answered. If no report has been answered yet, these seconds count from the first report.

    The client starts the timer before each report, and stops it after the answer. So the timer does
    not wake an idle client. After a failed report, the timer keeps running.
    """

    on_silence: Callable[[], object]
    _answered_report_at: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def start(self, now: float) -> None:
        """Start the timer, unless it is already running."""
        if self._answered_report_at is None:
            self._answered_report_at = now
        if self._timer is None:
            self._set(self._answered_report_at + GIVE_UP_AFTER_S)

    def record_answer(self, reported_at: float) -> None:
        """Restart the timer, because the report that was sent at `reported_at` was answered."""
        self._answered_report_at = reported_at
        self.stop()
        self.start(reported_at)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(when, self._on_timer, context=Context())

    def _on_timer(self) -> None:
        self._set(asyncio.get_running_loop().time() + _INTERVAL_S)
        self.on_silence()
