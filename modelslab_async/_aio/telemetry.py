"""Telemetry: the interface of an object that makes spans and metrics."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import Context
from typing import Literal, Protocol, TypeAlias, TypeVar

from attrs import frozen

from .._models.events import Event
from .._models.exchange_telemetry import ExchangeRecord
from .._models.ticket import Ticket
from .listeners import call_and_log

T = TypeVar("T")

SpanName: TypeAlias = Literal[
    "modelslab.wait", "modelslab.submit", "modelslab.poll", "modelslab.download"
]


@frozen
class Gauges:
    """
    Functions that return current counts of a client. Any thread may call them.

    Attributes:
        open_tickets: Returns the number of tickets that are being polled.
        used_slots: Returns the number of slots in use for each tier of key, such as `standard`.
    """

    open_tickets: Callable[[], int]
    used_slots: Callable[[], Mapping[str, int]]


# Log messages use this name for every function of a `Telemetry`.
TELEMETRY_LOG_NAME = "telemetry"


class Telemetry(Protocol):
    """Records what a client or a `Downloads` does, as spans and metrics."""

    def span(
        self,
        name: SpanName,
        *,
        ticket: Ticket | None = None,
        endpoint: str = "",
        callers: Sequence[Context] = (),
    ) -> AbstractContextManager[Callable[[object], object]]:
        """
        Return a context manager for one operation.

        The context manager yields a function. The `with` block calls this function with the
        operation's result.

        Args:
            name: The kind of operation.
            ticket: The ticket that the operation is about.
            endpoint: The endpoint of a submit.
            callers: For a poll, the contexts of the callers that wait for the ticket.
        """
        ...

    def on_event(self, event: Event, /) -> object:
        """Receive an event."""

    def on_exchange(self, record: ExchangeRecord, /) -> object:
        """Receive the record of an HTTP request, in the task that sent the request."""

    def add_gauges(self, gauges: Gauges, /) -> Callable[[], object]:
        """Report current counts as metrics. Return a function that ends these reports."""
        ...


async def traced(
    telemetry: Telemetry,
    name: SpanName,
    operation: Awaitable[T],
    *,
    ticket: Ticket | None = None,
    endpoint: str = "",
    callers: Sequence[Context] = (),
) -> T:
    """
    Await an operation inside a span. See `Telemetry.span`.

    If the span raises an exception, only log it. It must not replace the operation's result,
    because the operation may be paid work.
    """

    def open_span() -> Callable[[object], object]:
        span = telemetry.span(name, ticket=ticket, endpoint=endpoint, callers=callers)
        return stack.enter_context(span)

    stack = ExitStack()
    record = call_and_log(TELEMETRY_LOG_NAME, open_span)
    try:
        result = await operation
    except BaseException as error:
        call_and_log(TELEMETRY_LOG_NAME, stack.__exit__, type(error), error, error.__traceback__)
        raise
    if record is not None:
        call_and_log(TELEMETRY_LOG_NAME, record, result)
    call_and_log(TELEMETRY_LOG_NAME, stack.close)
    return result
