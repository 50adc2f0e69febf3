"""`receiver(on_reply=...)`: fresh replies for a program in which no caller waits."""

import asyncio
import json
from itertools import pairwise

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount

from modelslab_async import Client, Failed, Pace, Processing, Success, Ticket, webhooks
from modelslab_async.emulator import Emulator, Jobs, ScriptedReply, Webhooks

from .conftest import KEY, REALTIME

SECRET = "of the settings"
BASE = "http://me.example/hooks"


def browser(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://me.example")


class Replies(list):
    """Keeps the replies that a receiver hands over."""

    async def __call__(self, reply):
        self.append(reply)


async def not_found(_request, _error):
    return Response(status_code=404)


async def delivered(app, url, **fields):
    async with browser(app) as service:
        return (await service.post(url, json=fields)).status_code


def test_reply_comes_from_a_fetch_and_not_from_the_delivery(virtually, world):
    """The ticket is fetched once, and its links are those of the service, not of the delivery."""

    async def main():
        replies = Replies()
        async with world() as here:
            ticket = here.emulator.add_job("realtime:7", duration=0)
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE, family="realtime")
            forged = ["https://evil.example/x.png"]
            assert 200 == await delivered(app, url, status="success", id=7, output=forged)
            [reply] = replies
            assert isinstance(reply, Success)
            assert ticket == reply.ticket
            assert "evil" not in repr(reply)
            assert 1 == len(here.wire.requests)

    virtually(main)


@pytest.mark.parametrize(
    ("job", "kind"), [({"duration": 100.0}, Processing), ({"duration": 0, "fails": True}, Failed)]
)
def test_reply_of_any_kind_is_handed_over(virtually, world, job, kind):
    """A forged success brings a `Processing`, and a failure a `Failed`: nothing is raised."""

    async def main():
        replies = Replies()
        async with world() as here:
            here.emulator.add_job("realtime:7", **job)
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE, family="realtime")
            assert 200 == await delivered(app, url, status="success", id="7")
            assert [kind] == [type(reply) for reply in replies]

    virtually(main)


def test_function_that_lives_for_one_request(tmp_path):
    """Each request has an event loop and a client of its own, and the reply is there at its end."""
    emulator = Emulator()
    emulator.add_job("realtime:7", duration=0)
    stored = tmp_path / "reply.json"

    async def store(reply):
        await asyncio.sleep(0)
        stored.write_text(json.dumps(list(reply.output)))

    async def handle(scope, receive, send):
        async with Client("a-key-1234", http=httpx.ASGITransport(app=emulator)) as client:
            await webhooks.receiver(client, secret=SECRET, on_reply=store)(scope, receive, send)

    async def submitted_elsewhere():
        async with Client("a-key-1234") as client:
            return client.webhook_url(BASE, secret=SECRET, family="realtime")

    url = asyncio.run(submitted_elsewhere())
    for _ in range(2):
        stored.unlink(missing_ok=True)
        assert 200 == asyncio.run(delivered(handle, url, status="success", id="7"))
        assert json.loads(stored.read_text())
    assert 2 == emulator.polls["realtime:7"]


def test_web_app_gets_the_replies_of_what_it_submitted(virtually, world):
    """An app that submits and goes on gets each reply once its webhook comes, and polls no more."""

    async def main():
        replies, door = Replies(), []

        async def app(scope, receive, send):
            await door[0](scope, receive, send)

        hooks = Webhooks(transport=httpx.ASGITransport(app=app), allow_remote=True)
        emulated = {"jobs": Jobs(duration=(20.0, 20.0)), "webhooks": hooks}
        async with world(emulated=emulated) as here, here.emulator.deliver_webhooks():
            door.append(webhooks.receiver(here.client, on_reply=replies))
            url = here.client.webhook_url("https://me.example/hooks", family="realtime")
            for number in range(3):
                await here.client.submit(REALTIME, prompt=f"{number}", webhook=url)
            await asyncio.sleep(30.0)
            assert 3 == len(replies)
            assert all(isinstance(reply, Success) for reply in replies)
            assert 6 == len(here.wire.requests)

    virtually(main)


def test_track_id_names_ticket_where_address_names_no_family(virtually, world):
    """The client that submitted knows its own tickets by their track_id."""

    async def main():
        replies = Replies()
        async with world(emulated={"jobs": Jobs(duration=(1.0, 1.0))}) as here:
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE)
            begun = await here.client.submit(REALTIME, prompt="a fox", webhook=url, track_id="t-1")
            await asyncio.sleep(2.0)
            assert 200 == await delivered(app, url, status="success", id="?", track_id="t-1")
            assert [begun.ticket] == [reply.ticket for reply in replies]

    virtually(main)


def test_delivery_that_echoes_the_key_ends_in_no_error(virtually, world, caplog):
    """The id is a text from outside, as every other id is, and the log shows no key."""

    async def main():
        replies = Replies()
        async with world() as here:
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE, family="images")
            assert 200 == await delivered(app, url, status="error", request_id=KEY)
            [reply] = replies
            assert Ticket("images", "[key]") == reply.ticket
        assert KEY not in caplog.text

    virtually(main)


def test_delivery_about_an_unknown_ticket_is_logged_and_costs_nothing(virtually, world, caplog):
    """Without a family no ticket can be made of an id, and the log says what to do."""

    async def main():
        replies = Replies()
        async with world() as here:
            app = webhooks.receiver(here.client, on_reply=replies)
            assert 200 == await delivered(app, here.client.webhook_url(BASE), id="7")
            assert ([], []) == (replies, here.wire.requests)

    virtually(main)
    assert "family" in caplog.text


def test_address_of_one_family_does_not_fit_another(virtually, world):
    """The secret part of an address holds for its family alone."""

    async def main():
        async with world() as here:
            app = webhooks.receiver(here.client, on_reply=Replies())
            url = here.client.webhook_url(BASE, family="realtime")
            assert 404 == await delivered(app, url.replace("/realtime/", "/video/"), id="7")
            assert 404 == await delivered(app, url.replace("/realtime/", "/%ff/"), id="7")
            assert 404 == await delivered(app, url.replace("/realtime/", "/"), id="7")
            assert [] == here.wire.requests
            with pytest.raises(ValueError, match="unknown family 'realtme'"):
                here.client.webhook_url(BASE, family="realtme")

    virtually(main)


def test_many_deliveries_cost_one_fetch_per_floor(virtually, world):
    """However often a ticket is named, it is fetched at most once in each floor, and at the end."""

    async def main():
        replies = Replies()
        async with world(pace=Pace(floor=2.0), latency=0.1) as here:
            here.emulator.add_job("realtime:7", duration=5.0)
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE, family="realtime")
            posts = []
            for _ in range(60):
                posts.append(asyncio.create_task(delivered(app, url, id="7")))
                await asyncio.sleep(0.1)
            assert {200} == set(await asyncio.gather(*posts))
            gaps = [after - before for before, after in pairwise(here.wire.moments)]
            assert min(gaps) == pytest.approx(2.0)
            assert 4 >= len(here.wire.requests)
            assert isinstance(replies[-1], Success)

    virtually(main)


def test_floor_that_ends_at_once_delays_no_fetch(virtually, world, monkeypatch):
    """The floor is over before the receiver has recorded the fetch, since the clock goes on."""

    async def main():
        replies, loop = Replies(), asyncio.get_running_loop()

        def tick():
            loop.now += 0.002
            return loop.now

        monkeypatch.setattr(loop, "time", tick)
        async with world(pace=Pace(floor=0.001)) as here:
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE, family="realtime")
            for id_ in ("7", "8", "7"):
                here.emulator.add_job(("realtime", id_), duration=0)
                assert 200 == await delivered(app, url, id=id_)
        assert ["7", "8", "7"] == [reply.ticket.id for reply in replies]

    virtually(main)


def test_flood_of_tickets_is_bounded(virtually, world):
    """Deliveries about many tickets are fetched at most 32 at a time; the others get a 503."""

    async def main():
        async with world(latency=1.0) as here:
            app = webhooks.receiver(here.client, on_reply=Replies())
            url = here.client.webhook_url(BASE, family="realtime")
            posts = (delivered(app, url, id=str(number)) for number in range(100))
            answers = await asyncio.gather(*posts)
            assert 32 == here.wire.most_flying
            assert (32, 68) == (answers.count(200), answers.count(503))

    virtually(main)


def test_failed_fetch_asks_for_another_delivery(virtually, world, caplog):
    """If the poll fails, the delivery gets a 503, so that the service may send it again."""

    async def main():
        replies = Replies()
        async with world() as here:
            here.emulator.add_job("realtime:7", duration=0)
            here.emulator.script("realtime:7", [ScriptedReply(502, b"bad gateway", {}), None])
            app = webhooks.receiver(here.client, on_reply=replies)
            url = here.client.webhook_url(BASE, family="realtime")
            assert 503 == await delivered(app, url, id="7")
            assert [] == replies
            assert 200 == await delivered(app, url, id="7")
            assert [Ticket("realtime", "7")] == [reply.ticket for reply in replies]

    virtually(main)
    assert "realtime:7" in caplog.text


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_raising_on_reply_ends_its_own_delivery(virtually, world, caplog, error):
    """What `on_reply` raises is logged and answered with 500; the next delivery goes on."""
    answers = []

    async def store(_reply):
        if not answers:
            raise error

    async def main():
        async with world() as here:
            here.emulator.add_job("realtime:7", duration=0)
            app = webhooks.receiver(here.client, on_reply=store)
            url = here.client.webhook_url(BASE, family="realtime")
            answers.append(await delivered(app, url, id="7"))
            answers.append(await delivered(app, url, id="7"))

    virtually(main)
    assert [500, 200] == answers
    assert "on_reply raised for realtime:7" in caplog.text


def test_cancelled_delivery_frees_its_place(virtually, world):
    """If the server cancels a delivery while `on_reply` runs, the next one is taken."""

    async def main():
        running, replies = asyncio.Event(), Replies()

        async def store(reply):
            if not running.is_set():
                running.set()
                await asyncio.Event().wait()
            await replies(reply)

        async with world() as here:
            here.emulator.add_job("realtime:7", duration=0)
            app = webhooks.receiver(here.client, on_reply=store)
            url = here.client.webhook_url(BASE, family="realtime")
            cancelled = asyncio.create_task(delivered(app, url, id="7"))
            await running.wait()
            cancelled.cancel()
            await asyncio.wait((cancelled,))
            assert cancelled.cancelled()
            assert 200 == await delivered(app, url, id="7")
            assert 1 == len(replies)

    virtually(main)


def test_plain_function_is_an_on_reply_too(virtually, world):
    """The delivery is answered with a 200, so the service does not repeat it."""

    async def main():
        replies = []
        async with world() as here:
            here.emulator.add_job("realtime:7", duration=0)
            app = webhooks.receiver(here.client, on_reply=replies.append)
            url = here.client.webhook_url(BASE, family="realtime")
            assert 200 == await delivered(app, url, status="success", id=7)
        assert [Success] == [type(reply) for reply in replies]

    virtually(main)


async def test_on_reply_is_checked(service):
    """What cannot be called is refused when the receiver is made."""
    async with service().client() as client:
        with pytest.raises(TypeError, match="on_reply"):
            webhooks.receiver(client, on_reply=5)


def test_mounted_receiver_finds_the_family(virtually, world):
    """Under a mount of Starlette, the address has the same parts, and other routes go on."""

    async def main():
        replies = Replies()
        async with world() as here:
            here.emulator.add_job("realtime:7", duration=0)
            door = webhooks.receiver(here.client, on_reply=replies)
            # The handler of older versions of starlette runs in a thread, unseen by virtual time.
            app = Starlette(
                routes=[Mount("/api", routes=[Mount("/hooks", door)])],
                exception_handlers={404: not_found},
            )
            url = here.client.webhook_url("http://me.example/api/hooks?a=b", family="realtime")
            assert 200 == await delivered(app, url, id="7")
            assert 404 == await delivered(app, url.replace("/hooks/", "/other/"), id="7")
            assert [Ticket("realtime", "7")] == [reply.ticket for reply in replies]

    virtually(main)
