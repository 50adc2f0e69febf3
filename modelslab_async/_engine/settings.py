"""Settings: how a client behaves, checked when it is made. They hold no key and no address."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from .._models.events import Event, Submitted
from .._models.validation import (
    check_callback,
    check_count,
    check_positive_seconds,
    check_rate,
    check_type,
)
from .._scheduling.adaptive.adaptive_pace import AdaptivePace
from .._scheduling.pace import Pace


@frozen(kw_only=True)
class Settings:
    """
    The arguments of a `Client` that say how it behaves. `Client` documents each of them.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.
    """

    pace: Pace | AdaptivePace
    rate: float | None
    workers: int
    timeout: float
    slots: int | None
    submit_timeout: float
    on_submitted: Callable[[Submitted], Awaitable[object]] | None
    on_event: Callable[[Event], object] | None

    def __attrs_post_init__(self) -> None:
        check_type(
            "pace",
            self.pace,
            Pace | AdaptivePace,
            "a Pace, such as Pace.fixed(3) or Pace.adaptive()",
        )
        check_count("workers", self.workers)
        check_positive_seconds("timeout", self.timeout)
        check_count("slots", self.slots, unit="slots", optional=True)
        check_positive_seconds("submit_timeout", self.submit_timeout)
        check_rate("rate", self.rate, unit="polls")
        check_callback("on_submitted", self.on_submitted, allow_async=True)
        check_callback("on_event", self.on_event, allow_async=False)
