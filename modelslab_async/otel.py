"""
Otel: spans and metrics of a client or a `Downloads`, through the OpenTelemetry API.

Your program chooses the SDK and the exporter. No API key, URL query or HTTP body is recorded. If an
exception comes from another library, only its type is recorded.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from weakref import WeakKeyDictionary

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics, trace
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        'modelslab_async.otel needs opentelemetry: pip install "modelslab-async[otel]"',
        name=missing.name,
    ) from missing

from ._aio.telemetry import Gauges, SpanName
from ._client import Client
from ._downloads.downloads import Downloads
from ._models.errors import ModelsLabError
from ._models.events import Event, Polled, SlotAwaited, SubmitFailed, SubmitRetried
from ._models.exchange_telemetry import ExchangeRecord
from ._models.replies import Failed, Processing, Success
from ._models.saved_file import SavedFile
from ._models.ticket import Ticket
from ._models.unresolved_outcomes import Unresolved
from ._models.version import __version__
from ._submitting.submit_recorder import CallbackFailure

__all__ = ["instrument"]

_SCOPE = "modelslab_async"
_FIRST_ERROR_STATUS = 400
# The bucket boundaries that OpenTelemetry's semantic conventions advise for
# `http.client.request.duration`, in seconds.
_DURATION_BUCKETS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25),
    *(0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
# The innermost span that this module has opened in the current context. It gets the events and
# attributes, because OpenTelemetry's current span may belong to an instrumented httpx.
_own_span: ContextVar[trace.Span] = ContextVar("modelslab_async span", default=trace.INVALID_SPAN)


def instrument(
    instrumented: Client | Downloads,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> None:
    """
    Record spans and metrics of a client or a `Downloads` from now on.

    Args:
        instrumented: The client or the downloads.
        tracer_provider: Makes the spans; None for the global one.
        meter_provider: Makes the metrics; None for the global one.

    Raises:
        TypeError: `instrumented` is neither a client nor a `Downloads`.
        ValueError: `instrumented` is instrumented already.

    Example:
        ```python
        async with Client() as client:
            otel.instrument(client)
        ```
    """
    telemetry = _OpenTelemetry(
        trace.get_tracer(_SCOPE, __version__, tracer_provider),
        _metrics_of(metrics.get_meter_provider() if meter_provider is None else meter_provider),
    )
    match instrumented:
        case Client():
            instrumented.engine.set_telemetry(telemetry)
        case Downloads():
            instrumented.set_telemetry(telemetry)
        case _:
            raise TypeError(
                f"a Client or a Downloads can be instrumented, got {type(instrumented).__name__}"
            )


class _Metrics:
    """The metric instruments of one meter provider. All clients share them."""

    def __init__(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter(_SCOPE, __version__)
        self.gauges: list[Gauges] = []
        self.duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS_S,
        )
        self.lateness = meter.create_histogram(
            "modelslab.poll.lateness",
            unit="s",
            description="Time between the due time of a poll and its start.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS_S,
        )
        meter.create_observable_up_down_counter(
            "modelslab.tickets.open",
            [self._open_tickets],
            unit="{ticket}",
            description="Tickets that are polled.",
        )
        meter.create_observable_up_down_counter(
            "modelslab.slots.used",
            [self._used_slots],
            unit="{slot}",
            description="Slots of the account that are in use.",
        )

    def _open_tickets(self, _: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        yield metrics.Observation(sum(gauges.open_tickets() for gauges in tuple(self.gauges)))

    def _used_slots(self, _: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        totals: dict[str, int] = {}
        for gauges in tuple(self.gauges):
            for tier, used in gauges.used_slots().items():
                totals[tier] = totals.get(tier, 0) + used
        for tier, used in totals.items():
            yield metrics.Observation(used, {"modelslab.key.tier": tier})


# Each provider has one `_Metrics`, because the same observable instrument must not be created
# twice.
_metrics_by_provider: WeakKeyDictionary[metrics.MeterProvider, _Metrics] = WeakKeyDictionary()


def _metrics_of(provider: metrics.MeterProvider) -> _Metrics:
    if provider not in _metrics_by_provider:
        _metrics_by_provider[provider] = _Metrics(provider)
    return _metrics_by_provider[provider]


class _OpenTelemetry:
    """Implements `Telemetry` with an OpenTelemetry tracer and the instruments of a meter."""

    def __init__(self, tracer: trace.Tracer, instruments: _Metrics) -> None:
        self._tracer = tracer
        self._instruments = instruments

    @contextmanager
    def span(
        self,
        name: SpanName,
        *,
        ticket: Ticket | None = None,
        endpoint: str = "",
        callers: Sequence[Context] = (),
    ) -> Iterator[Callable[[object], object]]:
        """Open a span for one operation. The yielded function records the operation's result."""
        parents = [_otel_context(caller) for caller in callers]
        span = self._tracer.start_span(
            name,
            # The poller's task has no span. So the span of a poll joins the trace of the caller
            # that has waited longest, and links to the spans of all callers.
            parents[0] if parents else None,
            kind=trace.SpanKind.CLIENT if name == "modelslab.poll" else trace.SpanKind.INTERNAL,
            attributes=_attributes(ticket, endpoint),
            links=[trace.Link(found) for found in map(_span_context, parents) if found.is_valid],
        )
        outer = _own_span.set(span)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield lambda result: _record_result(span, result)
        except BaseException as error:
            _record_error(span, error)
            raise
        finally:
            _own_span.reset(outer)
            span.end()

    def on_event(self, event: Event, /) -> None:
        """Record a client's event as a metric, or as an event of this module's innermost span."""
        match event:
            case Polled(ticket=ticket, overdue=overdue):
                self._instruments.lateness.record(overdue, {"modelslab.family": ticket.family})
            case SlotAwaited(reason=reason):
                _own_span.get().add_event("modelslab.slot.awaited", {"modelslab.reason": reason})
            case SubmitFailed(error=error):
                attributes = {"error.type": type(error).__name__}
                _own_span.get().add_event("modelslab.submit.failed", attributes)
            case SubmitRetried(delay=delay):
                _own_span.get().add_event("modelslab.submit.retried", {"modelslab.delay": delay})

    def on_exchange(self, record: ExchangeRecord, /) -> None:
        """Record an HTTP request as a metric, and as attributes of this module's innermost span."""
        attributes: dict[str, str | int] = {
            "http.request.method": record.method,
            "server.address": record.host,
            "server.port": record.port,
            "url.scheme": record.scheme,
        }
        if record.status_code is not None:
            attributes["http.response.status_code"] = record.status_code
            if record.status_code >= _FIRST_ERROR_STATUS:
                attributes["error.type"] = str(record.status_code)
        else:
            attributes["error.type"] = record.error
        self._instruments.duration.record(record.seconds, attributes)
        _own_span.get().set_attributes({**attributes, "url.full": record.url})

    def add_gauges(self, gauges: Gauges, /) -> Callable[[], object]:
        """Report the gauges as metrics from now on. Return a function that stops the reports."""
        self._instruments.gauges.append(gauges)
        return lambda: self._instruments.gauges.remove(gauges)


def _otel_context(caller: Context) -> otel_context.Context:
    # Run in a copy, because a context that is already entered cannot be entered again.
    return caller.copy().run(otel_context.get_current)


def _span_context(context: otel_context.Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()


def _attributes(ticket: Ticket | None, endpoint: str) -> dict[str, str]:
    attributes = {"modelslab.endpoint": endpoint} if endpoint else {}
    if ticket is not None:
        attributes |= {"modelslab.ticket": str(ticket), "modelslab.family": ticket.family}
    return attributes


def _record_result(span: trace.Span, result: object) -> None:
    match result:
        case Success():
            span.set_attribute("modelslab.status", "success")
        case Failed(message=message):
            span.set_attribute("modelslab.status", "failed")
            span.set_status(trace.StatusCode.ERROR, message)
        case Unresolved(cause=error) | CallbackFailure(error=error):
            span.set_attribute("modelslab.status", "unresolved")
            _record_error(span, error)
        case SavedFile(size=size):
            span.set_attribute("modelslab.file.size", size)
        case _:
            # The job is running. `result` is a `Processing`. In the poller, it can also be a
            # `CachedProcessing`.
            span.set_attribute("modelslab.status", "processing")
    if isinstance(result, (Processing, Success)):
        span.set_attribute("modelslab.ticket", str(result.ticket))


def _record_error(span: trace.Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__name__)
    # Record only the type of an error from another library: its message may quote the API key.
    message = error.message if isinstance(error, ModelsLabError) else type(error).__name__
    span.set_status(trace.StatusCode.ERROR, message)
