"""Telemetry: the interface of an object that makes spans and metrics."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Literal, Protocol, TypeAlias, TypeVar

from attrs import frozen

from .._models.events import Event
from .._models.exchange_telemetry import ExchangeRecord
from .._models.ticket import Ticket

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


class Telemetry(Protocol):
    """Makes spans and metrics of what a client or a `Downloads` does."""

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

        It yields a function. The `with` block calls this function with the operation's result.

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
    """Await an operation inside a span. See `Telemetry.span`."""
    with telemetry.span(name, ticket=ticket, endpoint=endpoint, callers=callers) as record:
        result = await operation
        record(result)
        return result
