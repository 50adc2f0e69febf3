"""Webhooks: whatever is delivered, the client polls, and yields one result, once."""

import asyncio
import gc
import json
import tracemalloc
from collections import Counter

import httpx
import pytest

from modelslab_async import ENDPOINTS, Batch, Client, Failed, Pace, Success, webhooks
from modelslab_async._parsing.webhook_ids import WebhookHint, read_webhook
from modelslab_async.emulator import Jobs, Webhooks

from .conftest import REALTIME, accept

SUCCESS = {
    "status": "success",
    "id": "7",
    "output": ["https://evil.example/x.png"],
    "track_id": "t",
}
SHAPES = {
    "success": (SUCCESS, WebhookHint(("7",), "t")),
    "failed": (
        {"status": "failed", "id": 7, "message": "x", "track_id": 5},
        WebhookHint(("7",), "5"),
    ),
    "mark in meta": ({"id": "7", "meta": {"track_id": 9}}, WebhookHint(("7",), "9")),
    "training": (
        {"status": "success", "training_status": "model_ready", "logs": "", "model_id": "abc"},
        WebhookHint(("abc",), ""),
    ),
    "workflow, nested": (
        {"event": "workflow.completed", "workflow": {"id": "wf_1"}, "execution": {"id": "exec_2"}},
        WebhookHint(("wf_1/exec_2",), ""),
    ),
    "workflow, flat": (
        {"event": "workflow.completed", "execution_id": 12, "workflow_id": "wf_1"},
        WebhookHint(("wf_1/12", "12"), ""),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_documented_shape_names_its_work(name):
    """Every documented shape names the work that it is about."""
    fields, hint = SHAPES[name]
    assert hint == read_webhook(json.dumps(fields).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"{}", b'{"id": true}', b'{"id": [1]}'])
def test_body_without_id_is_no_hint(body):
    """A body that names no work is refused, never raised."""
    assert read_webhook(body) is None


def browser(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://me.example")


def test_delivery_brings_result_at_once(virtually, world):
    """A job that would not be polled for a while is polled when its webhook comes."""

    async def main():
        emulated = {"jobs": Jobs(duration=(17.0, 17.0), eta="none")}
        async with world(pace=Pace.fixed(100.0), emulated=emulated) as here:
            app = webhooks.receiver(here.client)
            url = here.client.webhook_url("http://me.example/hooks")
            begun = await here.client.submit(REALTIME, prompt="a fox", webhook=url)
            waiting = asyncio.create_task(here.client.wait(begun.ticket))
            await asyncio.sleep(18.0)
            assert not waiting.done()
            async with browser(app) as service:
                answer = await service.post(url, json={"status": "success", "id": begun.ticket.id})
            assert 200 == answer.status_code
            success = await waiting
            assert isinstance(success, Success)
            assert 18.0 == asyncio.get_running_loop().time()

    virtually(main)


def test_webhook_makes_polls_rarer_and_lost_one_costs_ceiling(virtually, world):
    """While a webhook is due, polls are rarer; if it never comes, one of them finds the end."""

    async def looks_at(hooked):
        emulated = {"jobs": Jobs(duration=(60.0, 60.0), eta="none")}
        async with world(pace=Pace(ceiling=30.0), emulated=emulated) as here:
            started = asyncio.get_running_loop().time()
            url = here.client.webhook_url("http://me.example") if hooked else "http://other.example"
            await here.client.generate(REALTIME, prompt="a fox", webhook=url)
            late = asyncio.get_running_loop().time() - started - 60.0
            return len(here.wire.requests) - 1, late

    async def main():
        (rare, late), (many, _) = await looks_at(hooked=True), await looks_at(hooked=False)
        assert rare < many / 2
        assert late <= 30.0

    virtually(main)


def test_track_id_alone_is_enough(virtually, world):
    """The track_id finds the ticket if the id is unknown."""

    async def main():
        emulated = {"jobs": Jobs(duration=(17.0, 17.0), eta="none")}
        async with world(pace=Pace.fixed(100.0), emulated=emulated) as here:
            url = here.client.webhook_url("http://me.example")
            begun = await here.client.submit(REALTIME, prompt="a fox", track_id="mine-1")
            waiting = asyncio.create_task(here.client.wait(begun.ticket))
            await asyncio.sleep(18.0)
            async with browser(webhooks.receiver(here.client)) as service:
                await service.post(url, json={"status": "success", "track_id": "mine-1"})
            await waiting
            assert 18.0 == asyncio.get_running_loop().time()

    virtually(main)


def test_forged_delivery_is_not_believed(virtually, world):
    """A sender who knows the address can make the client poll, and nothing else."""

    async def main():
        emulated = {"jobs": Jobs(duration=(50.0, 50.0))}
        async with world(emulated=emulated) as here:
            url = here.client.webhook_url("http://me.example")
            begun = await here.client.submit(REALTIME, prompt="a fox")
            waiting = asyncio.create_task(here.client.wait(begun.ticket))
            await asyncio.sleep(5.0)
            async with browser(webhooks.receiver(here.client)) as service:
                await service.post(url, json={**SUCCESS, "id": begun.ticket.id})
            await asyncio.sleep(1.0)
            assert not waiting.done()
            assert "evil" not in str(await waiting)

    virtually(main)


def test_many_deliveries_cost_one_poll_per_floor(virtually, world):
    """However many deliveries come, they cost one poll in each of the pace's floors."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0), eta="none")}
        async with world(pace=Pace(floor=2.0), emulated=emulated) as here:
            url = here.client.webhook_url("http://me.example")
            begun = await here.client.submit(REALTIME, prompt="a fox")
            waiting = asyncio.create_task(here.client.wait(begun.ticket))
            async with browser(webhooks.receiver(here.client)) as service:
                for _ in range(150):
                    await service.post(url, json={**SUCCESS, "id": begun.ticket.id})
                    await asyncio.sleep(0.1)
            await waiting
            polls = sum("/fetch/" in request.url.path for request in here.wire.requests)
        # In each floor of 2 s, one poll for 150 deliveries, and the ordinary one.
        assert 8 <= polls <= 2 * 10 + 1

    virtually(main)


def test_delivery_before_reply_makes_ticket_due_at_once(virtually, service):
    """Work that ended before its submit was answered is polled at once, whatever the eta."""

    async def main():
        here, posted = service(), []

        async def deliver(fields):
            async with browser(webhooks.receiver(client)) as there:
                posted.append(await there.post(url, json={"track_id": fields["track_id"]}))

        class Hasty(service):
            async def exchange(self, request, /):
                if "/fetch" not in request.url:
                    await deliver(json.loads(request.body))
                return await super().exchange(request)

        here = Hasty()
        async with here.client(pace=Pace(floor=5.0)) as client:
            url = client.webhook_url("http://me.example")
            success = await client.generate(REALTIME, prompt="a fox", webhook=url)
            assert success.output
            assert asyncio.get_running_loop().time() < 0.1
        assert [200] == [answer.status_code for answer in posted]
        assert 1 == here.polls

    virtually(main)


@pytest.mark.parametrize(
    ("named", "waited"),
    [({"track_id": "mine"}, 0.0), ({"id": 1}, 0.0), ({"id": 2, "track_id": "other"}, 3.0)],
    ids=["track_id", "id", "another ticket"],
)
def test_delivery_before_the_first_wait_makes_ticket_due_at_once(virtually, service, named, waited):
    """A program that submits, stores the ticket and then waits does not wait for the eta."""

    async def main():
        async with service(accept).client() as client:
            url = client.webhook_url("http://me.example")
            begun = await client.submit(REALTIME, prompt="a fox", track_id="mine", webhook=url)
            assert 3.0 == begun.eta
            async with browser(webhooks.receiver(client)) as there:
                assert 200 == (await there.post(url, json=named)).status_code
            began = asyncio.get_running_loop().time()
            await client.wait(begun.ticket)
            assert waited <= asyncio.get_running_loop().time() - began < waited + 0.5

    virtually(main)


def test_deliveries_of_unknown_work_leave_little_behind(virtually, service):
    """A sender who knows the address may post large ids, and they are not kept."""
    posts, length = 240, 20_000

    async def main():
        async with service().client() as client:
            url = client.webhook_url("http://me.example")
            async with browser(webhooks.receiver(client)) as there:
                tracemalloc.start()
                for number in range(posts):
                    long = {name: f"{number}".ljust(length, "x") for name in ("id", "track_id")}
                    assert 200 == (await there.post(url, json=long)).status_code
                gc.collect()
                kept, _ = tracemalloc.get_traced_memory()
                tracemalloc.stop()
        # The last 20 deliveries at most, with their bodies, may wait for a garbage collection.
        assert kept < posts * length / 2

    virtually(main)


@pytest.mark.parametrize(
    "base",
    ["https://me.example/hooks?tenant=5&to=a/b", "https://me.example/hooks/?tenant=5&to=a/b"],
)
def test_webhook_address_may_have_a_query(virtually, world, base):
    """The part that cannot be guessed joins the path, and the client recognizes the address."""

    async def main():
        emulated = {"jobs": Jobs(duration=(60.0, 60.0), eta="none")}
        async with world(pace=Pace(ceiling=30.0), emulated=emulated) as here:
            plain = here.client.webhook_url("https://me.example/hooks")
            url = here.client.webhook_url(base)
            assert f"{plain}?tenant=5&to=a/b" == url
            async with browser(webhooks.receiver(here.client)) as service:
                assert 200 == (await service.post(url, json={"id": "1"})).status_code
            for webhook in (plain, url):
                await here.client.generate(REALTIME, prompt=webhook, webhook=webhook)
            polls = Counter(request.url.path for request in here.wire.requests)
        # Both are polled as rarely: the client sees that a webhook is due.
        _, first, second = polls.values()
        assert abs(first - second) <= 1
        assert first < 10

    virtually(main)


def test_repeated_delivery_yields_one_result(virtually, service):
    """Copies and replays after the end cause no further poll."""

    async def main():
        here = service(accept)
        async with here.client() as client:
            url = client.webhook_url("http://me.example")
            async with browser(webhooks.receiver(client)) as there:
                success = await client.generate(REALTIME, prompt="a fox", webhook=url)
                for _ in range(5):
                    await there.post(url, json={**SUCCESS, "id": success.ticket.id})
            await asyncio.sleep(60.0)
        assert 1 == here.polls

    virtually(main)


@pytest.fixture
def door(service):
    """A receiver, its client and its address."""
    client = service().client()
    return client, webhooks.receiver(client), client.webhook_url("http://me.example/hooks")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "", b'{"id": 1}', 200),
        ("POST", "/", b'{"id": 1}', 200),
        ("GET", "", b"", 405),
        ("POST", "x", b'{"id": 1}', 404),
        ("POST", "/../guess", b'{"id": 1}', 404),
        ("POST", "", b"not json", 400),
        ("POST", "", b'{"hello": 1}', 400),
        ("POST", "", b'{"id": "../../up"}', 200),
        ("POST", "", b" " * (1024 * 1024 + 1), 413),
    ],
)
async def test_receiver_answers_with_status(door, method, path, body, status):
    """What is no delivery is answered with an error status, and nothing breaks."""
    client, app, url = door
    async with client, browser(app) as there:
        answer = await there.request(method, url + path, content=body)
    assert status == answer.status_code


async def test_closed_client_takes_no_delivery(door):
    """The service gets a 503."""
    client, app, url = door
    await client.aclose()
    async with browser(app) as there:
        assert 503 == (await there.post(url, json=SUCCESS)).status_code


def test_endless_delivery_is_cut_off(virtually, service):
    """A body that never ends is answered with 408."""

    async def main():
        async with service().client() as client:
            url = client.webhook_url("http://me.example")
            scope = {"type": "http", "method": "POST", "path": httpx.URL(url).path}
            sent = []

            async def receive():
                await asyncio.sleep(1.0)
                return {"type": "http.request", "body": b" ", "more_body": True}

            async def send(message):
                sent.append(message)

            await webhooks.receiver(client)(scope, receive, send)
        assert 408 == sent[0]["status"]

    virtually(main)


async def test_receiver_is_an_application_of_its_own(door):
    """A server may run it alone: it starts, stops, and refuses web sockets."""
    client, app, _ = door
    told, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive():
        return told.pop(0)

    async def send(message):
        sent.append(message["type"])

    async with client:
        await app({"type": "lifespan"}, receive, send)
        await app({"type": "websocket", "path": "/"}, receive, send)
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"] == sent


def test_webhook_address_cannot_be_guessed(service):
    """Each client has an address of its own; a secret makes one that outlives it."""
    urls = [service().client().webhook_url("https://me.example/hooks/") for _ in range(2)]
    assert urls[0] != urls[1]
    assert urls[0].startswith("https://me.example/hooks/")
    assert len(urls[0].rpartition("/")[2]) >= 32
    first, second = (
        service().client().webhook_url("https://me.example", secret="a secret") for _ in range(2)
    )
    assert first == second
    assert "secret" not in first


@pytest.mark.parametrize(("secret", "error"), [("", ValueError), (5, TypeError)])
async def test_secret_is_a_text_that_is_not_empty(service, secret, error):
    """With "", each process would have a secret of its own, and refuse the others' deliveries."""
    async with service().client() as client:
        for make in (
            lambda: client.webhook_url("https://me.example", secret=secret),
            lambda: webhooks.receiver(client, secret=secret),
        ):
            with pytest.raises(error, match=r"^secret is a text or None, got"):
                make()


def test_receiver_needs_a_client():
    """It is refused when the receiver is made, and not at the first delivery."""
    with pytest.raises(TypeError, match=r"^client is a Client, got None"):
        webhooks.receiver(None)


NO_ADDRESSES = [
    "me.example/hooks",
    "/hooks",
    "https:/me.example/hooks",
    "https:///hooks",
    "https://",
    "https://me.example:port/hooks",
    "https://[me.example/hooks",
    "ftp://me.example/hooks",
    " https://me.example/hooks",
    "https://me.example/hooks\n",
    5,
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
async def test_webhook_that_is_no_address_is_refused_before_it_is_sent(service, tmp_path, address):
    """The service would take it, and send no webhook. The error quotes no part of it."""
    here = service(accept)
    expected = "with https:// or http:// and a host, such as 'https://me.example/hooks'"
    async with here.client() as client:
        with pytest.raises(ValueError, match=expected) as refused:
            client.webhook_url(address)
        assert repr(address) not in str(refused.value)
        with pytest.raises(ValueError, match="webhook is a whole address"):
            await client.submit(REALTIME, prompt="a fox", webhook=address)
        async with Batch.open(tmp_path / "run.db", client=client) as batch:
            with pytest.raises(ValueError, match="webhook is a whole address"):
                await batch.submit(REALTIME, prompt="a fox", webhook=address)
    assert not here.submits


@pytest.mark.parametrize(
    "address",
    ["https://me.example/hooks#app", "https://me.example/hooks?a=b#", "https://me.example/#/?a=b"],
)
async def test_webhook_with_a_fragment_is_refused_before_it_is_sent(service, address):
    """Programs cut off a fragment, so the secret behind it would never come back."""
    here = service(accept)
    async with here.client() as client:
        with pytest.raises(ValueError, match="must not contain '#'") as refused:
            client.webhook_url(address, family="realtime")
        assert address not in str(refused.value)
        with pytest.raises(ValueError, match="webhook must not contain '#'"):
            await client.submit(REALTIME, prompt="a fox", webhook=address)
    assert not here.submits


@pytest.mark.parametrize(
    "address",
    [None, "", "HTTPS://me.example", "http://[::1]:8000/", "https://u:p@me.example/hooks?a=b"],
)
async def test_webhook_that_is_an_address_or_none_is_sent(service, address):
    """An empty webhook asks for none, as the service has it."""
    here = service(accept)
    async with here.client() as client:
        await client.submit(REALTIME, prompt="a fox", webhook=address)
    assert address == here.submits[0].get("webhook")


async def test_nudge_of_unwatched_ticket_does_nothing(service):
    """A ticket that no caller waits for is not polled, and an ill-formed one is a `ValueError`."""
    here = service()
    async with here.client() as client:
        client.nudge("images:1")
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="family:id"):
            client.nudge("images")
    assert 0 == here.polls
    assert "secret" not in repr(Client("a-key"))


def test_bad_webhooks_lose_nothing_and_double_nothing(virtually, world):
    """Late, repeated, lost, forged and early deliveries: each request has its one result."""
    names = ["realtime/text2img", "video/text2video", "training/lora_fine_tune", "workflows/run"]
    requests = [
        (name, dict.fromkeys(ENDPOINTS[name].required, f"x{number}"))
        for number in range(30)
        for name in names
    ]
    doors = {}

    async def door(scope, receive, send):
        await doors["here"](scope, receive, send)

    async def main():
        hooks = Webhooks(
            delay=(0.0, 5.0),
            copies=2,
            lost=0.2,
            forged=0.3,
            before_reply=0.3,
            transport=httpx.ASGITransport(app=door),
            allow_remote=True,
        )
        emulated = {"webhooks": hooks, "jobs": Jobs(duration=(2.0, 9.0), failure_rate=0.2)}
        outcomes = []
        async with world(emulated=emulated, queue=10) as here, here.emulator.deliver_webhooks():
            doors["here"] = webhooks.receiver(here.client)
            url = here.client.webhook_url("http://me.example/hooks")
            hooked = [(name, {**params, "webhook": url}) for name, params in requests]
            async for request, outcome in here.client.generate_many(hooked):
                outcomes.append((request, outcome))
            delivered = here.emulator.webhook_deliveries
        assert len(requests) == len(outcomes)
        assert {Success, Failed} == {type(outcome) for _, outcome in outcomes}
        assert "nowhere" not in str(outcomes)
        assert len(delivered) > len(requests)
        assert {200} == {delivery.status_code for delivery in delivered}

    virtually(main)
