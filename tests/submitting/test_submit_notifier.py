"""The events of submits: what waits, is sent, refused, retried or unconfirmed."""

import asyncio
import logging
from contextvars import ContextVar

import pytest
from attrs import evolve

from modelslab_async import (
    GenerationFailed,
    PaymentRequired,
    RateLimited,
    SlotAwaited,
    SubmitFailed,
    SubmitRetried,
    SubmitSent,
    Submitted,
    SubmitUncertain,
    SubmitUnconfirmed,
    TransportError,
    Uploaded,
)
from modelslab_async.emulator import Jobs

from .conftest import (
    KEY,
    QUICK,
    REALTIME,
    accept,
    connection_lost,
    finish_at_once,
    json_response,
    never_left,
    queue_full,
    spam,
)

request_id = ContextVar("request_id", default="none")


def kinds(events):
    return [type(event).__name__ for event in events]


def submit_events(events):
    return [each for each in events if hasattr(each, "endpoint")]


def test_accepted_submit_is_sent_and_submitted(virtually, service):
    """A submit without any trouble makes two events, and both name its track_id."""
    events = []

    async def main():
        async with service().client(on_event=events.append) as client:
            await client.submit(REALTIME, prompt="a fox", track_id="mine")

    virtually(main)
    sent, submitted = events
    assert SubmitSent(endpoint=REALTIME, track_id="mine", attempt=1, waited=0.0) == sent
    assert isinstance(submitted, Submitted)
    assert (REALTIME, "mine") == (submitted.endpoint, submitted.track_id)


@pytest.mark.parametrize("step", [queue_full, spam])
def test_each_refusal_for_the_rate_is_reported(virtually, service, caplog, step):
    """Five answers of 429 are five failures, four retries and four lines, not silence."""
    events = []
    caplog.set_level(logging.INFO, "modelslab_async")

    async def main():
        here = service(*[step] * 5)
        async with here.client(on_event=events.append, pace=evolve(QUICK, max_failures=5)) as one:
            with pytest.raises(RateLimited):
                await one.submit(REALTIME, prompt="a fox")

    virtually(main)
    assert 5 == kinds(events).count("SubmitSent")
    failed = [event for event in events if isinstance(event, SubmitFailed)]
    assert [1, 2, 3, 4, 5] == [event.attempt for event in failed]
    assert all(isinstance(event.error, RateLimited) for event in failed)
    assert [2, 3, 4, 5] == [each.attempt for each in events if isinstance(each, SubmitRetried)]
    assert "SubmitFailed" == kinds(events)[-1]
    lines = [line for line in caplog.messages if "is sent again when the server allows it" in line]
    assert 4 == len(lines)
    assert all(line.startswith(REALTIME) for line in lines)


def test_submit_that_never_left_says_when_it_is_tried_again(virtually, service):
    """A submit without a connection fails, and the retry tells its delay."""
    events = []

    async def main():
        async with service(never_left).client(on_event=events.append, pace=QUICK) as client:
            await client.submit(REALTIME, prompt="a fox")

    virtually(main)
    expected = ["SubmitSent", "SubmitFailed", "SubmitRetried", "SubmitSent", "Submitted"]
    assert expected == [kind for kind in kinds(events) if kind != "SlotAwaited"]
    [retried] = [event for event in events if isinstance(event, SubmitRetried)]
    assert isinstance(retried.error, TransportError)
    assert retried.delay > 0
    [again] = [event for event in events if isinstance(event, SubmitSent) and event.attempt == 2]
    assert again.waited >= retried.delay


def test_unconfirmed_submit_is_reported_once(virtually, service):
    """A submit that may have started work is unconfirmed, and neither failed nor retried."""
    events = []

    async def main():
        async with service(connection_lost).client(on_event=events.append) as client:
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a fox")

    virtually(main)
    assert ["SubmitSent", "SubmitUnconfirmed"] == kinds(events)
    assert isinstance(events[-1].error, SubmitUncertain)


def test_submit_that_is_cut_off_is_unconfirmed(virtually, service, caplog):
    """If the task of a submit in flight is cancelled, the log and an event say that it may run."""
    events = []

    async def main():
        async with service().client(on_event=events.append) as client:
            submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(0.005)
            for task in asyncio.all_tasks():
                if task.get_name() == "modelslab_async submit":
                    task.cancel()
            await asyncio.wait((submitting,))

    virtually(main)
    assert ["SubmitSent", "SubmitUnconfirmed"] == kinds(events)
    assert "cut off in flight: " in caplog.text


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": "failed", "message": "the GPU is gone", "id": 1}, GenerationFailed),
        ({"status": "error", "message": "You have run out of credits"}, PaymentRequired),
    ],
)
def test_final_refusal_is_one_failure(virtually, service, answer, error):
    """What no retry can change is one `SubmitFailed`, with the error that the caller gets."""
    events = []

    async def main():
        here = service(lambda *_: json_response(**answer))
        async with here.client(on_event=events.append) as client:
            with pytest.raises(error):
                await client.submit(REALTIME, prompt="a fox")

    virtually(main)
    assert ["SubmitSent", "SubmitFailed"] == kinds(events)
    assert isinstance(events[-1].error, error)


def test_submit_tells_that_it_waits_for_a_slot(virtually, world):
    """With one slot and work in it, the second submit waits and says why."""
    events = []

    async def main():
        jobs = Jobs(duration=(5.0, 5.0))
        async with world(emulated={"jobs": jobs}, queue=1, on_event=events.append) as here:
            await here.client.submit(REALTIME, prompt="one")
            await here.client.submit(REALTIME, prompt="two", track_id="second")

    virtually(main)
    [awaited] = [event for event in events if isinstance(event, SlotAwaited)]
    assert "second" == awaited.track_id
    assert ("slots_used", "standard", 1, 1) == (
        awaited.reason,
        awaited.tier,
        awaited.used,
        awaited.limit,
    )
    [_, sent] = [event for event in events if isinstance(event, SubmitSent)]
    assert sent.waited > 4.0


def test_other_reasons_to_wait_are_named(virtually, service):
    """The first submit with a key goes alone, and the spam filter spaces equal payloads."""
    events = []

    async def main():
        async with service(accept, spam).client(on_event=events.append) as client:
            await asyncio.gather(*(client.submit(REALTIME, prompt=f"{n}") for n in range(2)))

    virtually(main)
    reasons = [event.reason for event in events if isinstance(event, SlotAwaited)]
    assert ["key_unconfirmed", "same_payload"] == reasons


def test_rejected_waiter_is_a_failure(virtually, service):
    """A submit that waits while the key is refused ends with the refusal, and says so."""
    events = []

    async def main():
        here = service(lambda *_: json_response(status="error", message="out of credits"))
        async with here.client(on_event=events.append) as client:
            several = (client.submit(REALTIME, prompt=f"{n}", track_id=str(n)) for n in range(2))
            await asyncio.gather(*several, return_exceptions=True)

    virtually(main)
    failed = [event.track_id for event in events if isinstance(event, SubmitFailed)]
    assert {"0", "1"} == set(failed)
    assert 1 == kinds(events).count("SubmitSent")


def test_upload_is_reported_with_its_size(virtually, world):
    """An upload is an event with parameter, bytes and seconds, before the submit is sent."""
    events = []
    picture = b"\x89PNG\r\n\x1a\n and so on"

    async def main():
        async with world(on_event=events.append, latency=0.5) as here:
            await here.client.submit("realtime/img2img", prompt="a fox", init_image=picture)

    virtually(main)
    uploaded, sent = submit_events(events)[:2]
    assert isinstance(uploaded, Uploaded)
    assert ("init_image", len(picture)) == (uploaded.parameter, uploaded.size)
    assert uploaded.elapsed == pytest.approx(0.5)
    assert isinstance(sent, SubmitSent)


def test_events_of_a_submit_see_the_context_of_its_caller(virtually, service):
    """A listener reads the context variables of the task that called `submit`."""
    seen = []

    async def main():
        here = service(never_left, finish_at_once)
        record = lambda event: seen.append((type(event).__name__, request_id.get()))  # noqa: E731
        async with here.client(on_event=record, pace=QUICK) as client:
            request_id.set("r-17")
            await client.submit(REALTIME, prompt="a fox")

    virtually(main)
    assert {"r-17"} == {value for _, value in seen}
    assert {"SubmitSent", "SubmitFailed", "SubmitRetried", "Submitted"} <= {
        kind for kind, _ in seen
    }


def test_events_hold_no_key(virtually, service):
    """No event shows the key, also where the server repeats it."""
    events = []

    async def main():
        def repeat(_service, fields):
            return json_response(status="error", message=f"bad key {fields['key']}")

        async with service(repeat, connection_lost).client(on_event=events.append) as client:
            for _ in range(2):
                submitted = client.submit(REALTIME, prompt="a fox")
                await asyncio.gather(submitted, return_exceptions=True)

    virtually(main)
    assert any(isinstance(event, SubmitUnconfirmed) for event in events)
    assert KEY not in repr(events)
