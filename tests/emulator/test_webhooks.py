"""Webhooks: their bodies, when they are sent, and how they go wrong."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from modelslab_async._registry.endpoints import ENDPOINTS
from modelslab_async.emulator import Emulator, Faults, Jobs, Webhooks, run_faulty_server, run_server

HOOK = "http://127.0.0.1:9/hook"


class Receiver:
    """An application that records the webhooks it receives, and when."""

    def __init__(self, *status_codes):
        self.bodies = []
        self.times = []
        self._status_codes = list(status_codes)

    async def __call__(self, _scope, receive, send):
        message = await receive()
        self.bodies.append(json.loads(message["body"]))
        self.times.append(asyncio.get_running_loop().time())
        status_code = self._status_codes.pop(0) if self._status_codes else 204
        await send({"type": "http.response.start", "status": status_code, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served(receiver, visit, *, jobs=None, **webhooks):
    """Yield an emulator whose webhooks go to the receiver, and a visitor of it."""
    description = Webhooks(transport=httpx.ASGITransport(app=receiver), **webhooks)
    clock = asyncio.get_running_loop().time
    jobs = jobs or Jobs(duration=(4.0, 4.0))
    emulator = Emulator(clock=clock, jobs=jobs, webhooks=description)
    async with emulator.deliver_webhooks():
        yield emulator, visit(emulator)


def run(virtually, visit, name, *, wait=60.0, jobs=None, receiver=None, submits=1, **webhooks):
    """Submit to one endpoint, and return the emulator and its receiver after a while."""
    receiver = receiver or Receiver()

    async def main():
        async with served(receiver, visit, jobs=jobs, **webhooks) as (emulator, visitor):
            for number in range(submits):
                await visitor.start(ENDPOINTS[name], webhook=HOOK, track_id=f"t{number}")
            await asyncio.sleep(wait)
        return emulator

    return virtually(main), receiver


def test_webhook_of_a_success_is_sent_when_the_job_ends(virtually, visit):
    """It is sent once, in the documented format, with the id as a text and the job's links."""
    emulator, receiver = run(virtually, visit, "realtime/text2img")

    (body,) = receiver.bodies
    (ticket,) = (submitted.ticket for submitted in emulator.submits)
    assert [4.0] == receiver.times
    assert ["status", "id", "output", "generationTime", "track_id", "meta"] == list(body)
    assert ("success", ticket.id, "t0", 4.0) == tuple(
        body[name] for name in ("status", "id", "track_id", "generationTime")
    )
    assert body["output"][0].endswith(f"{ticket.id}-0.jpg")
    assert "x" == body["meta"]["prompt"]
    (delivery,) = emulator.webhook_deliveries
    assert (ticket, HOOK, body, 204, "", False) == (
        delivery.ticket,
        delivery.url,
        delivery.body,
        delivery.status_code,
        delivery.error,
        delivery.forged,
    )


def test_webhook_of_a_failure_has_a_message(virtually, visit):
    """The documented format of a failure has a message and no output."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=1.0)
    emulator, receiver = run(virtually, visit, "video/text2video", jobs=jobs)

    ticket = emulator.submits[0].ticket
    assert [
        {
            "status": "failed",
            "id": ticket.id,
            "message": "Processing failed: Invalid input dimensions",
            "track_id": "t0",
        }
    ] == receiver.bodies


@pytest.mark.parametrize(
    ("failure_rate", "expected"),
    [
        (0.0, [("success", "deploying_gpu"), ("success", "model_ready")]),
        (1.0, [("success", "deploying_gpu"), ("failed", "training_failed")]),
    ],
)
def test_webhooks_of_a_training_have_its_stages(failure_rate, expected, virtually, visit):
    """They have a stage and the model's id, and neither an id nor an output."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=failure_rate)
    emulator, receiver = run(virtually, visit, "training/lora_fine_tune", jobs=jobs)

    assert [0.0, 4.0] == receiver.times
    assert expected == [(body["status"], body["training_status"]) for body in receiver.bodies]
    assert {"status", "training_status", "logs", "model_id"} == receiver.bodies[0].keys()
    assert emulator.submits[0].ticket.id == receiver.bodies[0]["model_id"]


@pytest.mark.parametrize("failure_rate", [0.0, 1.0])
def test_webhook_of_a_workflow_has_one_of_two_formats(failure_rate, virtually, visit):
    """Nested with the run's id as a text, or flat with it as a number. Both are documented."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=failure_rate)
    bodies = {}
    for workflow_format in ("nested", "flat"):
        emulator, receiver = run(
            virtually, visit, "workflows/run", jobs=jobs, workflow_format=workflow_format, submits=1
        )
        (bodies[workflow_format],) = receiver.bodies
    run_id = emulator.submits[0].ticket.id.partition("/")[2]

    word = "failed" if failure_rate else "completed"
    assert {f"workflow.{word}"} == {body["event"] for body in bodies.values()}
    nested, flat = bodies["nested"], bodies["flat"]
    assert {"event", "workflow", "execution"} == nested.keys()
    assert ("wf", run_id, word) == (
        nested["workflow"]["id"],
        nested["execution"]["id"],
        nested["execution"]["status"],
    )
    assert (int(run_id), "wf", word) == tuple(
        flat[name] for name in ("execution_id", "workflow_id", "status")
    )
    assert bool(failure_rate) is not bool(flat["output"]["output"])
    assert bool(failure_rate) is not bool(nested["execution"]["output_data"])


def test_webhooks_are_delayed_and_repeated(virtually, visit):
    """Each copy has a delay of its own, so that copies can overtake each other."""
    _, receiver = run(virtually, visit, "realtime/text2img", delay=(1.0, 9.0), copies=3, seed=5)

    assert 3 == len(set(receiver.times))
    assert all(5.0 <= at <= 13.0 for at in receiver.times)
    assert receiver.bodies[0] == receiver.bodies[1] == receiver.bodies[2]


def test_share_of_webhooks_is_lost(virtually, visit):
    """The share is a share of jobs, and the same seed loses the same webhooks."""
    counts = [
        len(run(virtually, visit, "realtime/text2img", submits=40, lost=share, seed=2)[1].bodies)
        for share in (0.0, 0.5, 0.5, 1.0)
    ]

    assert (40, 0) == (counts[0], counts[3])
    assert 5 < counts[1] < 35
    assert counts[1] == counts[2]


def test_forged_webhook_comes_before_the_true_one(virtually, visit):
    """It reports a success of a job that has not ended, and links to a host that does not exist."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=1.0)
    emulator, receiver = run(virtually, visit, "realtime/text2img", jobs=jobs, forged=1.0)

    forged, true = receiver.bodies
    assert ("success", "failed") == (forged["status"], true["status"])
    assert [2.0, 4.0] == receiver.times
    assert forged["id"] == true["id"]
    assert forged["output"][0].startswith("https://forged.invalid/")
    assert [True, False] == [delivery.forged for delivery in emulator.webhook_deliveries]


@pytest.mark.parametrize("reads", range(8))
def test_forged_webhook_comes_first_although_the_process_stands_still(virtually, visit, reads):
    """The clock jumps far beyond the end of the job, after any number of looks at it."""
    receiver = Receiver()

    async def main():
        loop, jumps = asyncio.get_running_loop(), iter([0.0] * reads + [60.0])

        def clock():
            loop.now += next(jumps, 0.0)
            return loop.time()

        webhooks = Webhooks(transport=httpx.ASGITransport(app=receiver), forged=1.0, copies=2)
        emulator = Emulator(clock=clock, jobs=Jobs(duration=(4.0, 4.0)), webhooks=webhooks)
        async with emulator.deliver_webhooks():
            await visit(emulator).start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
            await asyncio.sleep(60.0)
        return emulator

    emulator = virtually(main)
    assert [True, False, False] == [each.forged for each in emulator.webhook_deliveries]


def test_webhook_can_come_before_the_submit_reply(virtually, visit):
    """The submit reply still says processing, and comes after the webhook."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit, before_reply=1.0) as (_, visitor):
            reply = await visitor.start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
            return reply.json()["status"], len(receiver.bodies), asyncio.get_running_loop().time()

    assert ("processing", 1, 4.0) == virtually(main)


def test_webhook_is_sent_though_the_submit_was_given_up(virtually, visit):
    """A client that disconnects before the submit reply does not stop the webhook."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit, before_reply=1.0) as (_, visitor):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await visitor.start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
            await asyncio.sleep(10.0)

    virtually(main)
    assert [4.0] == receiver.times


@pytest.mark.parametrize(
    ("name", "times"),
    [("realtime/text2img", [4.0]), ("workflows/run", [4.0, 5.0, 7.0, 11.0])],
)
def test_only_workflow_webhooks_are_retried(name, times, virtually, visit):
    """Three retries, each pause twice as long. Webhooks of generations are sent once."""
    receiver = Receiver(500, 404, 301, 500, 500)
    emulator, _ = run(virtually, visit, name, receiver=receiver)

    assert times == receiver.times
    assert "answered 500, not a 2xx" == emulator.webhook_deliveries[0].error


def test_accepted_webhook_is_not_retried(virtually, visit):
    """Any 2xx accepts a webhook."""
    receiver = Receiver(500, 200)
    run(virtually, visit, "workflows/run", receiver=receiver)

    assert [4.0, 5.0] == receiver.times


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://localhost:1/hook", True),
        ("https://127.0.0.2/hook", True),
        ("http://[::1]:8000/", True),
        ("http://example.com/hook", False),
        ("http://10.0.0.1/hook", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://user@example.com#@127.0.0.1/", False),
        ("http://0.0.0.0/", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/", False),
        ("http://[::1", False),
        ("http://", False),
        ("hook", False),
    ],
)
def test_only_loopback_addresses_get_webhooks(url, reached, virtually, visit):
    """Webhooks to other addresses are recorded as withheld, unless allow_remote is set."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit) as (emulator, visitor):
            await visitor.start(ENDPOINTS["realtime/text2img"], webhook=url)
            await asyncio.sleep(9)
            return emulator.webhook_deliveries

    (delivery,) = virtually(main)
    assert (url, reached, int(reached)) == (delivery.url, not delivery.error, len(receiver.bodies))
    assert reached or "only loopback addresses" in delivery.error
    assert reached or not Webhooks().may_deliver_to(url)
    assert Webhooks(allow_remote=True).may_deliver_to("https://example.com/hook")
    assert not Webhooks(allow_remote=True).may_deliver_to("file:///etc/passwd")


def test_withheld_webhook_is_not_retried(virtually, visit):
    """The webhook of a workflow is recorded as withheld once, because a retry changes nothing."""

    async def main():
        async with served(Receiver(), visit) as (emulator, visitor):
            await visitor.start(ENDPOINTS["workflows/run"], webhook="http://example.com/hook")
            await asyncio.sleep(20)
            return emulator.webhook_deliveries

    (delivery,) = virtually(main)
    assert "withheld" in delivery.error


@pytest.mark.parametrize("field", [{}, {"webhook": ""}, {"webhook": None}, {"webhook": 5}])
def test_submit_without_a_url_has_no_webhook(field, virtually, visit):
    """Without a valid URL there is no webhook."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit) as (emulator, visitor):
            await visitor.start(ENDPOINTS["realtime/text2img"], **field)
            await asyncio.sleep(9)
            return emulator.webhook_deliveries

    assert [] == virtually(main)


def test_pending_webhooks_are_dropped_at_the_end_of_the_block(virtually, visit):
    """Pending webhooks are dropped, and outside of the block none are sent."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit) as (emulator, visitor):
            async with emulator.deliver_webhooks():
                await visitor.start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
            await asyncio.sleep(3.9)
        await visitor.start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
        await asyncio.sleep(9)
        return emulator.webhook_deliveries

    assert [] == virtually(main)


def test_key_is_in_no_webhook(virtually, visit):
    """The key is neither in what is sent nor in what is recorded."""

    async def main():
        receiver = Receiver()
        async with served(receiver, visit, forged=1.0) as (emulator, visitor):
            for name in ("realtime/text2img", "workflows/run", "training/lora_fine_tune"):
                await visitor.start(ENDPOINTS[name], webhook=HOOK, key="sesame")
            await asyncio.sleep(9)
            return repr(emulator.webhook_deliveries) + json.dumps(receiver.bodies)

    text = virtually(main)
    assert "realtime" in text
    assert "sesame" not in text


@pytest.mark.parametrize("serve", [run_server, lambda each: run_faulty_server(each, Faults())])
async def test_served_emulator_delivers_webhooks(serve):
    """It delivers over real sockets, and records a receiver that refuses the connection."""
    taken = asyncio.get_running_loop().create_future()

    async def take(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        taken.set_result(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    emulator = Emulator(jobs=Jobs(duration=(0.01, 0.01)))
    listening = await asyncio.start_server(take, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening, serve(emulator) as base_url, httpx.AsyncClient(timeout=60.0) as http:
        body = {"key": "k", "prompt": "a cat"}
        url = f"{base_url}/v6/realtime/text2img"
        here = await http.post(url, json={**body, "webhook": f"http://127.0.0.1:{port}/"})
        async with asyncio.timeout(300):
            body_received = await taken
        with socket.socket() as not_listening:
            # A socket that is bound but not listening refuses connections.
            not_listening.bind(("127.0.0.1", 0))
            hook = f"http://127.0.0.1:{not_listening.getsockname()[1]}/"
            await http.post(url, json={**body, "webhook": hook})
            async with asyncio.timeout(300):
                while len(emulator.webhook_deliveries) < 2:  # noqa: ASYNC110 -- there is no event for it.
                    await asyncio.sleep(0.01)

    assert str(here.json()["id"]) == body_received["id"]
    assert body_received["output"][0].startswith(base_url.removesuffix("/api"))
    assert [200, None] == [delivery.status_code for delivery in emulator.webhook_deliveries]
    assert emulator.webhook_deliveries[1].error.startswith("Connect")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lost": 1.1}, "lost is a share"),
        ({"forged": -0.1}, "forged is a share"),
        ({"before_reply": 2}, "before_reply is a share"),
        ({"copies": 0}, "copies is at least 1"),
        ({"delay": -1.0}, "delay is a number of seconds"),
        ({"delay": (2.0, 1.0)}, "delay is a number of seconds"),
    ],
)
def test_webhooks_refuse_invalid_arguments(arguments, message):
    """The error names the argument and what it accepts."""
    with pytest.raises(ValueError, match=message):
        Webhooks(**arguments)
