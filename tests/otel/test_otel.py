"""Spans and metrics of a client, as the in-memory exporter of the OpenTelemetry SDK gets them."""

import asyncio
import json
import subprocess
import sys

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from modelslab_async import (
    Client,
    DownloadError,
    Downloads,
    Failed,
    GenerationFailed,
    Processing,
    RateLimited,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
    otel,
)
from modelslab_async.emulator import Jobs, ScriptedReply

KEY = "canary-key-0123456789"
REALTIME = "realtime/text2img"
POLL_URL = "https://modelslab.com/api/v6/images/fetch"


class Recorded:
    """An SDK with exporters that keep everything in memory."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.tracer = self.tracers.get_tracer("a program")

    def instrument(self, instrumented):
        otel.instrument(instrumented, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self, name):
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def metrics(self):
        """The data points of each metric, by its name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def recorded():
    recorded = Recorded()
    yield recorded
    recorded.tracers.shutdown()
    recorded.meters.shutdown()


def test_polls_of_a_wait_join_its_trace(virtually, world, recorded):
    """A poll is a child of the span of the wait, though the poller polls in another task."""

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            here.emulator.add_job("images:1", duration=3.0)
            with recorded.tracer.start_as_current_span("a request"):
                await here.client.wait("images:1")

    virtually(main)
    [request] = recorded.spans("a request")
    [wait] = recorded.spans("modelslab.wait")
    polls = recorded.spans("modelslab.poll")
    assert request.context.span_id == wait.parent.span_id
    assert len(polls) >= 2
    assert {wait.context.span_id} == {poll.parent.span_id for poll in polls}
    assert {request.context.trace_id} == {poll.context.trace_id for poll in polls}
    assert {"images:1"} == {each.attributes["modelslab.ticket"] for each in [wait, *polls]}
    assert "success" == wait.attributes["modelslab.status"]
    assert "success" == polls[-1].attributes["modelslab.status"]
    assert "processing" == polls[0].attributes["modelslab.status"]


def test_poll_has_a_link_to_each_caller_that_waits(virtually, world, recorded):
    """A poll that several waits share is linked to all of them, also to a stream and a watch."""

    async def calling(name, call):
        with recorded.tracer.start_as_current_span(name):
            await call

    async def watched(client):
        async for _ in client.watch("images:1"):
            pass

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            here.emulator.add_job("images:1", duration=3.0)
            await asyncio.gather(
                calling("first", here.client.wait("images:1")),
                calling("second", here.client.gather(["images:1"])),
                calling("third", watched(here.client)),
            )

    virtually(main)
    [wait] = recorded.spans("modelslab.wait")
    [gather], [watch] = recorded.spans("second"), recorded.spans("third")
    callers = {span.context.span_id for span in (wait, gather, watch)}
    poll = recorded.spans("modelslab.poll")[-1]
    assert callers == {link.context.span_id for link in poll.links}
    assert wait.context.span_id == poll.parent.span_id


def test_poll_carries_the_attributes_of_its_http_request(virtually, world, recorded):
    """The stable semantic conventions name the attributes, and the URL has no query."""

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            here.emulator.add_job("images:1", duration=0)
            await here.client.fetch("images:1")

    virtually(main)
    [poll] = recorded.spans("modelslab.poll")
    assert SpanKind.CLIENT is poll.kind
    expected = {
        "http.request.method": "POST",
        "server.address": "modelslab.com",
        "server.port": 443,
        "url.scheme": "https",
        "url.full": POLL_URL,
        "http.response.status_code": 200,
    }
    assert expected.items() <= poll.attributes.items()


def test_failed_poll_is_an_error_with_its_type(virtually, world, recorded):
    """A poll that fails has the status ERROR, and the wait that goes on has not."""

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            here.emulator.add_job("images:1", duration=3.0)
            here.emulator.script("images:1", [ScriptedReply(502, b"bad gateway", {}), None])
            await here.client.wait("images:1")

    virtually(main)
    failed, *_ = recorded.spans("modelslab.poll")
    assert StatusCode.ERROR is failed.status.status_code
    assert "ServerError" == failed.attributes["error.type"]
    assert 502 == failed.attributes["http.response.status_code"]
    [wait] = recorded.spans("modelslab.wait")
    assert StatusCode.UNSET is wait.status.status_code


async def test_request_without_a_response_has_the_type_of_its_error(recorded):
    """A connection that fails is counted by its error, and has no status."""

    def refuse(_request):
        raise httpx.ConnectError(f"refused {KEY}")

    async with Client(KEY, http=httpx.MockTransport(refuse)) as client:
        recorded.instrument(client)
        with pytest.raises(TransportError):
            await client.fetch("images:1")
    [poll] = recorded.spans("modelslab.poll")
    [duration] = recorded.metrics()["http.client.request.duration"]
    for attributes in (poll.attributes, duration.attributes):
        assert "TransportError" == attributes["error.type"]
        assert "http.response.status_code" not in attributes
    assert KEY not in poll.to_json()


def test_failed_job_is_an_error_of_the_wait(virtually, world, recorded):
    """A wait for a job that failed has the status ERROR and the server's words."""

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            here.emulator.add_job("images:1", duration=1.0, fails=True)
            with pytest.raises(GenerationFailed):
                await here.client.wait("images:1")

    virtually(main)
    [wait] = recorded.spans("modelslab.wait")
    assert StatusCode.ERROR is wait.status.status_code
    assert "failed" == wait.attributes["modelslab.status"]


def test_cancelled_wait_ends_its_span(virtually, world, recorded):
    """A wait that is cancelled or times out ends its span, and names the reason."""

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            here.emulator.add_job("images:1", duration=100.0)
            with pytest.raises(TimeoutError):
                await here.client.wait("images:1", timeout=1.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.wait((waiting,))

    virtually(main)
    ends = [span.attributes["error.type"] for span in recorded.spans("modelslab.wait")]
    assert ["WaitTimeout", "CancelledError"] == ends


def test_submit_is_a_span_with_its_retries(virtually, recorded):
    """The wait for a slot and each refusal are events of the span of the submit."""
    answers = []

    def serve(request):
        if answers:
            return httpx.Response(answers.pop(), json={"status": "error", "message": "slow down"})
        track_id = json.loads(request.content)["track_id"]
        return httpx.Response(200, json={"status": "processing", "id": track_id, "eta": 3})

    async def main():
        async with Client(KEY, http=httpx.MockTransport(serve)) as client:
            recorded.instrument(client)
            answers.append(429)
            with recorded.tracer.start_as_current_span("a request"):
                await client.submit(REALTIME, prompt="a lighthouse", track_id=7)

    virtually(main)
    [request], [submit] = recorded.spans("a request"), recorded.spans("modelslab.submit")
    assert request.context.span_id == submit.parent.span_id
    assert REALTIME == submit.attributes["modelslab.endpoint"]
    assert "realtime:7" == submit.attributes["modelslab.ticket"]
    assert 200 == submit.attributes["http.response.status_code"]
    expected = ["modelslab.submit.failed", "modelslab.submit.retried", "modelslab.slot.awaited"]
    assert expected == [event.name for event in submit.events]
    assert "RateLimited" == submit.events[0].attributes["error.type"]
    assert StatusCode.UNSET is submit.status.status_code


def test_uncertain_submit_and_error_of_a_hook_are_errors(virtually, recorded):
    """A submit that may have started work, and one whose `on_submitted` raised, are errors."""
    replies = [httpx.Response(500), httpx.Response(200, json={"status": "processing", "id": 7})]

    async def store(_news):
        raise LookupError(KEY)

    async def main():
        http = httpx.MockTransport(lambda _request: replies.pop(0))
        async with Client(KEY, http=http, on_submitted=store) as client:
            recorded.instrument(client)
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a lighthouse")
            with pytest.raises(LookupError):
                await client.submit(REALTIME, prompt="another")

    virtually(main)
    spans = recorded.spans("modelslab.submit")
    assert ["SubmitUncertain", "LookupError"] == [span.attributes["error.type"] for span in spans]
    assert KEY not in repr([span.to_json() for span in spans])


async def test_download_is_a_span_with_its_size(recorded, tmp_path):
    """A download is a span in the trace of its caller; one that fails is an error."""
    picture = b"\x89PNG\r\n\x1a\n" + b"x" * 8

    def serve(request):
        found = request.url.path == "/1.png"
        return httpx.Response(200 if found else 410, content=picture if found else b"")

    outputs = ["https://files.example/1.png?signature=secret", "https://files.example/2.png"]
    http = httpx.MockTransport(serve)
    async with Downloads(to=tmp_path, http=http, link_timeout=0) as downloads:
        recorded.instrument(downloads)
        with recorded.tracer.start_as_current_span("a request"):
            await downloads.save(Success(ticket=Ticket("images", 1), output=(outputs[0],)))
            with pytest.raises(DownloadError):
                await downloads.save(Success(ticket=Ticket("images", 2), output=(outputs[1],)))
    [request] = recorded.spans("a request")
    good, bad = recorded.spans("modelslab.download")
    assert request.context.span_id == good.parent.span_id == bad.parent.span_id
    assert len(picture) == good.attributes["modelslab.file.size"]
    assert "https://files.example/1.png" == good.attributes["url.full"]
    assert ("LinkGone", 410) == (
        bad.attributes["error.type"],
        bad.attributes["http.response.status_code"],
    )
    assert "secret" not in good.to_json()


class BrokenProcessor(SpanProcessor):
    """Raises whenever a span begins, or whenever one ends."""

    def __init__(self, moment):
        setattr(self, moment, self._fail)

    def _fail(self, *_, **_more):
        raise LookupError("the collector is broken")


MOMENTS = pytest.mark.parametrize("moment", ["on_start", "on_end"])


@MOMENTS
def test_broken_span_processor_replaces_no_result(virtually, world, recorded, caplog, moment):
    """A submit returns its ticket, polls go on, and an error of the client stays what it is."""
    recorded.tracers.add_span_processor(BrokenProcessor(moment))

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            assert isinstance(await here.client.submit(REALTIME, prompt="a fox"), Processing)
            assert 1 == len(here.emulator.submits)
            here.emulator.add_job("images:1", duration=3.0, fails=False)
            here.emulator.add_job("images:2", duration=3.0, fails=True)
            assert isinstance(await here.client.wait("images:1"), Success)
            with pytest.raises(GenerationFailed):
                await here.client.wait("images:2")
            outcomes = await here.client.gather(["images:1", "images:2"])
            assert [Success, Failed] == [type(each) for each in outcomes]
            assert isinstance(await here.client.fetch("images:1"), Success)

    virtually(main)
    assert "telemetry raised; the client goes on" in caplog.text
    assert "LookupError: the collector is broken" in caplog.text


@MOMENTS
async def test_broken_span_processor_spares_downloads(recorded, tmp_path, moment):
    """The file is saved."""
    recorded.tracers.add_span_processor(BrokenProcessor(moment))
    picture = b"\x89PNG\r\n\x1a\n" + b"x" * 8
    http = httpx.MockTransport(lambda _request: httpx.Response(200, content=picture))
    async with Downloads(to=tmp_path, http=http) as downloads:
        recorded.instrument(downloads)
        success = Success(ticket=Ticket("images", 1), output=("https://files.example/1.png",))
        [saved] = await downloads.save(success)
    assert len(picture) == saved.size


def test_broken_metrics_replace_no_reply(virtually, world, recorded, caplog, monkeypatch):
    """What a metric raises for a request is logged, and so is what it raises at the close."""

    def fail(*_):
        raise LookupError("the meter is broken")

    async def main():
        async with world() as here:
            recorded.instrument(here.client)
            telemetry = here.client.engine._telemetry
            monkeypatch.setattr(telemetry._instruments.duration, "record", fail)
            telemetry._instruments.gauges.clear()
            assert isinstance(await here.client.submit(REALTIME, prompt="a fox"), Processing)
        await here.client.aclose()

    virtually(main)
    assert 2 == caplog.text.count("telemetry raised; the client goes on")
    assert 1 == caplog.text.count("LookupError: the meter is broken")


def test_metrics_count_requests_tickets_slots_and_lateness(virtually, world, recorded):
    """Durations follow the semantic conventions; the gauges show what is open now."""
    seen = {}

    async def main():
        async with world(emulated={"jobs": Jobs(duration=(5.0, 5.0))}) as here:
            recorded.instrument(here.client)
            begun = await here.client.submit(REALTIME, prompt="a lighthouse")
            waiting = asyncio.create_task(here.client.wait(begun.ticket))
            await asyncio.sleep(1.0)
            seen["during"] = recorded.metrics()
            await waiting
            seen["after"] = recorded.metrics()

    virtually(main)
    during, after = seen["during"], seen["after"]
    assert [1] == [point.value for point in during["modelslab.tickets.open"]]
    [slots] = during["modelslab.slots.used"]
    assert (1, {"modelslab.key.tier": "standard"}) == (slots.value, dict(slots.attributes))
    assert [0] == [point.value for point in after["modelslab.tickets.open"]]
    assert [0] == [point.value for point in after["modelslab.slots.used"]]
    durations = after["http.client.request.duration"]
    assert {("POST", "modelslab.com", 443, 200)} == {
        (
            point.attributes["http.request.method"],
            point.attributes["server.address"],
            point.attributes["server.port"],
            point.attributes["http.response.status_code"],
        )
        for point in durations
    }
    assert 0.005 == durations[0].explicit_bounds[0]
    [lateness] = after["modelslab.poll.lateness"]
    assert {"modelslab.family": "realtime"} == dict(lateness.attributes)
    assert lateness.count >= 1


def test_clients_share_the_instruments_of_a_provider(virtually, world, recorded):
    """Gauges add the clients of one provider, and a closed client counts no more."""
    seen = []

    async def main():
        async with world() as first, world() as second:
            for here in (first, second):
                recorded.instrument(here.client)
                here.emulator.add_job("images:1", duration=100.0)
            waits = [
                asyncio.create_task(here.client.wait("images:1", timeout=2.0))
                for here in (first, second)
            ]
            await asyncio.sleep(1.0)
            seen.append(recorded.metrics()["modelslab.tickets.open"][0].value)
            await first.client.aclose()
            seen.append(recorded.metrics()["modelslab.tickets.open"][0].value)
            await asyncio.gather(*waits, return_exceptions=True)

    virtually(main)
    assert [2, 1] == seen


def test_rate_limited_submits_hold_no_key(virtually, recorded):
    """Neither a span nor a metric shows the key, also where the server repeats it."""

    def serve(_request):
        return httpx.Response(429, json={"status": "error", "message": f"slow down, {KEY}"})

    async def main():
        async with Client(KEY, http=httpx.MockTransport(serve)) as client:
            recorded.instrument(client)
            with pytest.raises(RateLimited):
                await client.submit(REALTIME, prompt="a lighthouse")
            with pytest.raises(RateLimited):
                await client.fetch("controlnet_v5:1")

    virtually(main)
    text = "".join(span.to_json() for span in recorded.exporter.get_finished_spans())
    assert "modelslab.submit" in text
    assert KEY not in text + repr(recorded.metrics())


async def test_instrumenting_twice_or_something_else_is_refused(recorded, tmp_path):
    """A second tracer would double every span, and only clients and downloads have any."""
    async with Client(KEY) as client, Downloads(to=tmp_path) as downloads:
        for instrumented in (client, downloads):
            recorded.instrument(instrumented)
            with pytest.raises(ValueError, match="already"):
                recorded.instrument(instrumented)
    with pytest.raises(TypeError, match="a Client or a Downloads can be instrumented, got int"):
        recorded.instrument(5)


def test_import_without_the_extra_names_the_command():
    """Without the API of OpenTelemetry, one line names the command that installs it."""
    code = "import sys; sys.modules['opentelemetry'] = None; import modelslab_async.otel"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: modelslab_async.otel needs opentelemetry: "
        'pip install "modelslab-async[otel]"'
    )
