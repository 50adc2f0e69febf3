"""Webhooks: what they say, when they come, and each way in which they do not."""

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
    """An application that is told, and says when."""

    def __init__(self, *answers):
        self.told = []
        self.moments = []
        self._answers = list(answers)

    async def __call__(self, _scope, receive, send):
        message = await receive()
        self.told.append(json.loads(message["body"]))
        self.moments.append(asyncio.get_running_loop().time())
        status_code = self._answers.pop(0) if self._answers else 204
        await send({"type": "http.response.start", "status": status_code, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served(receiver, visit, *, jobs=None, **webhooks):
    """A visitor of an emulator on the loop's clock, whose webhooks go to the receiver."""
    description = Webhooks(transport=httpx.ASGITransport(app=receiver), **webhooks)
    clock = asyncio.get_running_loop().time
    jobs = jobs or Jobs(duration=(4.0, 4.0))
    emulator = Emulator(clock=clock, jobs=jobs, webhooks=description)
    async with emulator.deliver_webhooks():
        yield emulator, visit(emulator)


def run(virtually, visit, name, *, wait=60.0, jobs=None, receiver=None, submits=1, **webhooks):
    """Submit to one endpoint, and give what the emulator and its receiver know after a while."""
    receiver = receiver or Receiver()

    async def main():
        async with served(receiver, visit, jobs=jobs, **webhooks) as (emulator, visitor):
            for number in range(submits):
                await visitor.start(ENDPOINTS[name], webhook=HOOK, track_id=f"t{number}")
            await asyncio.sleep(wait)
        return emulator

    return virtually(main), receiver


def test_a_success_is_told_when_its_job_ends(virtually, visit):
    """Once, in the documented shape, with the id as a text and the links of the job."""
    emulator, receiver = run(virtually, visit, "realtime/text2img")

    (body,) = receiver.told
    (ticket,) = (submitted.ticket for submitted in emulator.submits)
    assert [4.0] == receiver.moments
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


def test_a_failure_is_told_as_failed(virtually, visit):
    """The documented shape of a failure has a message and no output."""
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
    ] == receiver.told


@pytest.mark.parametrize(
    ("failure_rate", "expected"),
    [
        (0.0, [("success", "deploying_gpu"), ("success", "model_ready")]),
        (1.0, [("success", "deploying_gpu"), ("failed", "training_failed")]),
    ],
)
def test_a_training_tells_its_stages(failure_rate, expected, virtually, visit):
    """Its webhooks have a stage and the model's id, and neither id nor output."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=failure_rate)
    emulator, receiver = run(virtually, visit, "training/lora_fine_tune", jobs=jobs)

    assert [0.0, 4.0] == receiver.moments
    assert expected == [(body["status"], body["training_status"]) for body in receiver.told]
    assert {"status", "training_status", "logs", "model_id"} == receiver.told[0].keys()
    assert emulator.submits[0].ticket.id == receiver.told[0]["model_id"]


@pytest.mark.parametrize("failure_rate", [0.0, 1.0])
def test_a_workflow_tells_in_one_of_two_shapes(failure_rate, virtually, visit):
    """Nested with a text as its run's id, or flat with a number, as two pages have it."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=failure_rate)
    told = {}
    for shape in ("nested", "flat"):
        emulator, receiver = run(
            virtually, visit, "workflows/run", jobs=jobs, workflow_format=shape, submits=1
        )
        (told[shape],) = receiver.told
    run_id = emulator.submits[0].ticket.id.partition("/")[2]

    word = "failed" if failure_rate else "completed"
    assert {f"workflow.{word}"} == {body["event"] for body in told.values()}
    nested, flat = told["nested"], told["flat"]
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


def test_webhooks_come_late_and_more_than_once(virtually, visit):
    """Each copy has a delay of its own, so that they may overtake each other."""
    _, receiver = run(virtually, visit, "realtime/text2img", delay=(1.0, 9.0), copies=3, seed=5)

    assert 3 == len(set(receiver.moments))
    assert all(5.0 <= moment <= 13.0 for moment in receiver.moments)
    assert receiver.told[0] == receiver.told[1] == receiver.told[2]


def test_some_webhooks_never_come(virtually, visit):
    """The share is that of jobs, and the same seed loses the same ones."""
    counts = [
        len(run(virtually, visit, "realtime/text2img", submits=40, lost=share, seed=2)[1].told)
        for share in (0.0, 0.5, 0.5, 1.0)
    ]

    assert (40, 0) == (counts[0], counts[3])
    assert 5 < counts[1] < 35
    assert counts[1] == counts[2]


def test_a_forged_webhook_comes_before_the_truth(virtually, visit):
    """It claims a success of a job that is not over, or fails, and links to nowhere."""
    jobs = Jobs(duration=(4.0, 4.0), failure_rate=1.0)
    emulator, receiver = run(virtually, visit, "realtime/text2img", jobs=jobs, forged=1.0)

    lie, truth = receiver.told
    assert ("success", "failed") == (lie["status"], truth["status"])
    assert [2.0, 4.0] == receiver.moments
    assert lie["id"] == truth["id"]
    assert lie["output"][0].startswith("https://forged.invalid/")
    assert [True, False] == [delivery.forged for delivery in emulator.webhook_deliveries]


def test_a_webhook_may_overtake_the_reply_to_its_submit(virtually, visit):
    """The reply still says processing, and comes after the webhook."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit, before_reply=1.0) as (_, visitor):
            reply = await visitor.start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
            return reply.json()["status"], len(receiver.told), asyncio.get_running_loop().time()

    assert ("processing", 1, 4.0) == virtually(main)


def test_whoever_goes_before_the_reply_does_not_stop_the_webhook(virtually, visit):
    """A submit that was given up is still told about."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit, before_reply=1.0) as (_, visitor):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await visitor.start(ENDPOINTS["realtime/text2img"], webhook=HOOK)
            await asyncio.sleep(10.0)

    virtually(main)
    assert [4.0] == receiver.moments


@pytest.mark.parametrize(
    ("name", "moments"),
    [("realtime/text2img", [4.0]), ("workflows/run", [4.0, 5.0, 7.0, 11.0])],
)
def test_only_workflows_try_again(name, moments, virtually, visit):
    """Three times, each pause twice as long; generations are told once, taken or not."""
    receiver = Receiver(500, 404, 301, 500, 500)
    emulator, _ = run(virtually, visit, name, receiver=receiver)

    assert moments == receiver.moments
    assert "answered 500, not a 2xx" == emulator.webhook_deliveries[0].error


def test_a_taken_webhook_is_not_tried_again(virtually, visit):
    """Any 2xx will do."""
    receiver = Receiver(500, 200)
    run(virtually, visit, "workflows/run", receiver=receiver)

    assert [4.0, 5.0] == receiver.moments


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
def test_only_loopback_addresses_are_reached(url, reached, virtually, visit):
    """Everything else is kept back and written down, unless anywhere is allowed."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit) as (emulator, visitor):
            await visitor.start(ENDPOINTS["realtime/text2img"], webhook=url)
            await asyncio.sleep(9)
            return emulator.webhook_deliveries

    (delivery,) = virtually(main)
    assert (url, reached, int(reached)) == (delivery.url, not delivery.error, len(receiver.told))
    assert reached or "only loopback addresses" in delivery.error
    assert reached or not Webhooks().may_deliver_to(url)
    assert Webhooks(allow_remote=True).may_deliver_to("https://example.com/hook")
    assert not Webhooks(allow_remote=True).may_deliver_to("file:///etc/passwd")


@pytest.mark.parametrize("field", [{}, {"webhook": ""}, {"webhook": None}, {"webhook": 5}])
def test_nobody_is_told_who_did_not_ask(field, virtually, visit):
    """Without an address there is no webhook."""
    receiver = Receiver()

    async def main():
        async with served(receiver, visit) as (emulator, visitor):
            await visitor.start(ENDPOINTS["realtime/text2img"], **field)
            await asyncio.sleep(9)
            return emulator.webhook_deliveries

    assert [] == virtually(main)


def test_webhooks_end_with_the_block(virtually, visit):
    """What waits for its time is dropped, no task is left, and outside nothing is delivered."""
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


def test_the_key_is_in_no_webhook(virtually, visit):
    """Neither in what is sent nor in what is written down."""

    async def main():
        receiver = Receiver()
        async with served(receiver, visit, forged=1.0) as (emulator, visitor):
            for name in ("realtime/text2img", "workflows/run", "training/lora_fine_tune"):
                await visitor.start(ENDPOINTS[name], webhook=HOOK, key="sesame")
            await asyncio.sleep(9)
            return repr(emulator.webhook_deliveries) + json.dumps(receiver.told)

    text = virtually(main)
    assert "realtime" in text
    assert "sesame" not in text


@pytest.mark.parametrize("serve", [run_server, lambda each: run_faulty_server(each, Faults())])
async def test_a_served_emulator_delivers(serve):
    """Over real sockets; a receiver that is not there is written down and nothing else."""
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
    async with listening, serve(emulator) as base_url, httpx.AsyncClient() as http:
        body = {"key": "k", "prompt": "a cat"}
        url = f"{base_url}/v6/realtime/text2img"
        here = await http.post(url, json={**body, "webhook": f"http://127.0.0.1:{port}/"})
        async with asyncio.timeout(60):
            told = await taken
        with socket.socket() as deaf:
            # Held and never listened on: whoever connects is refused.
            deaf.bind(("127.0.0.1", 0))
            hook = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
            await http.post(url, json={**body, "webhook": hook})
            async with asyncio.timeout(60):
                while len(emulator.webhook_deliveries) < 2:  # noqa: ASYNC110 -- nobody is told of it.
                    await asyncio.sleep(0.01)

    assert str(here.json()["id"]) == told["id"]
    assert told["output"][0].startswith(base_url.removesuffix("/api"))
    assert [200, None] == [delivery.status_code for delivery in emulator.webhook_deliveries]
    assert emulator.webhook_deliveries[1].error.startswith("Connect")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"lost": 1.1}, "lost is a share"),
        ({"forged": -0.1}, "forged is a share"),
        ({"before_reply": 2}, "before_reply is a share"),
        ({"copies": 0}, "copies is at least 1"),
        ({"delay": -1.0}, "delay is a number of seconds"),
        ({"delay": (2.0, 1.0)}, "delay is a number of seconds"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, complaint):
    """Each argument says what it expects."""
    with pytest.raises(ValueError, match=complaint):
        Webhooks(**arguments)
