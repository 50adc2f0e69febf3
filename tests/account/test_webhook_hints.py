"""Webhooks that reach one client of an account make the other clients poll."""

import asyncio
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import httpx
import pytest

from modelslab_async import AccountError, Batch, Client, Pace, SQLiteAccount, Success, webhooks
from modelslab_async._account import webhook_hint_codec
from modelslab_async._account.account_link import AccountLink
from modelslab_async._parsing.webhook_ids import WebhookHint
from modelslab_async.emulator import Emulator, Jobs, ScriptedReply, run_server

from .stores import PostgresStore

KEY = "a-test-key-1234"
SECRET = "of the settings"
BASE = "http://me.example/hooks"
# Without a hint, the next poll would be due only after this many seconds.
LONG_S = 100_000.0
DEADLINE_S = 300.0
IDLE_POLLER = SimpleNamespace(notifier=SimpleNamespace())


async def test_hint_reaches_each_other_client_once(members):
    """The client that gave it does not get it back."""
    giver, first, second = (member.membership for member in members(3))
    hints = [WebhookHint(("7", "a/8"), "t1"), WebhookHint((), "\ud800")]
    assert [] == await giver.share_hints(hints)
    for other in (first, second):
        assert hints == await other.share_hints([])
        assert [] == await other.share_hints([])
    assert [] == await giver.share_hints([])


async def test_old_hints_are_forgotten(members, clock, store):
    """A client that was idle for a minute gets no hint from before, and the file gets no longer."""
    giver, other = (member.membership for member in members(2))
    await giver.share_hints([WebhookHint(("7",), "")])
    clock.now += 61.0
    await store.set_clock(clock)
    assert [] == await other.share_hints([])
    await giver.share_hints([WebhookHint(("8",), "")])
    assert [WebhookHint(("8",), "")] == await other.share_hints([])
    assert 1 == len(store.run("SELECT hint FROM webhook_hints"))


async def test_many_or_long_hints_do_not_fill_the_file(members, monkeypatch):
    """The newest are kept, and ids that belong to no ticket are not passed on."""
    monkeypatch.setattr(webhook_hint_codec, "MAX_COUNT", 3)
    giver, other = (member.membership for member in members(2))
    await giver.share_hints([WebhookHint((str(number),), "") for number in range(5)])
    await giver.share_hints([WebhookHint(("9" * 3000,), "")])
    assert ["2", "3", "4"] == [hint.ids[0] for hint in await other.share_hints([])]


async def test_file_from_before_hints_gets_their_table(sqlite_members, path):
    """Its clients need not be closed for that."""
    sqlite_members(1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE webhook_hints")
    giver, other = (member.membership for member in sqlite_members(2))
    await giver.share_hints([WebhookHint(("7",), "")])
    assert [WebhookHint(("7",), "")] == await other.share_hints([])


async def deliver(client, **fields):
    """Post a webhook to the receiver of a client."""
    app = webhooks.receiver(client, secret=SECRET)
    url = client.webhook_url(BASE, secret=SECRET)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as service:
        return (await service.post(url, json=fields)).status_code


@pytest.mark.parametrize("is_closed_at_once", [False, True])
async def test_webhook_of_one_worker_ends_the_wait_of_another(store, is_closed_at_once):
    """The worker that gets it polls nothing, and may live for this one request."""
    emulator = Emulator()
    ticket = emulator.add_job("images:7", duration=0, fails=False)
    running = b'{"status": "processing", "id": 7, "eta": %d}' % LONG_S
    emulator.script(ticket, [ScriptedReply(200, running), None])
    pace = Pace(floor=0.01, ceiling=LONG_S, max_eta_wait=LONG_S)
    account = store.account()
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account, pace=pace) as waiter,
        asyncio.timeout(DEADLINE_S),
    ):
        waiting = asyncio.create_task(waiter.wait(ticket))
        while not emulator.polls[ticket]:  # noqa: ASYNC110 -- a poll has no event here.
            await asyncio.sleep(0.01)
        receiver = Client(KEY, base_url=url, account=account)
        assert 200 == await deliver(receiver, status="success", id=7)
        if is_closed_at_once:
            await receiver.aclose()
        assert isinstance(await waiting, Success)
        await receiver.aclose()
    assert 2 == emulator.polls[ticket]


async def test_webhook_that_echoes_the_key_leaves_it_in_no_account(tmp_path):
    """The other clients of the account read the ids of webhooks in its file."""
    account = SQLiteAccount(tmp_path / "account.db")
    async with Client(KEY, account=account, http=httpx.ASGITransport(app=Emulator())) as client:
        assert 200 == await deliver(client, status="error", request_id=KEY, track_id=f"cat {KEY}")
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"cat [key]" in written
    assert KEY.encode() not in written


async def test_webhook_of_one_host_ends_the_run_of_another(postgres, address):
    """The other host has submitted the ticket, and this one has claimed it from the journal."""
    emulator = Emulator()
    pace = Pace(floor=0.01, ceiling=LONG_S, max_eta_wait=LONG_S)
    store = PostgresStore(postgres.address)
    account = store.account()
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account, pace=pace) as running,
        Client(KEY, base_url=url, account=account, pace=pace) as receiving,
        Batch.open(address, client=running) as here,
        asyncio.timeout(DEADLINE_S),
    ):
        async with Batch.open(address, client=receiving) as there:
            begun = await there.submit(
                "realtime/text2img",
                prompt="a cat",
                track_id="t-7",
                webhook=receiving.webhook_url(BASE, secret=SECRET),
            )
        ticket, id_ = begun.ticket, int(begun.ticket.id)
        running_body = b'{"status": "processing", "id": %d, "eta": %d}' % (id_, LONG_S)
        done_body = b'{"status": "success", "id": %d, "output": ["https://a/1.png"]}' % id_
        emulator.script(ticket, [ScriptedReply(200, running_body), ScriptedReply(200, done_body)])
        outcomes = here.run()
        waiting = asyncio.ensure_future(anext(outcomes))
        while not emulator.polls[ticket]:  # noqa: ASYNC110 -- a poll has no event here.
            await asyncio.sleep(0.01)
        assert 200 == await deliver(receiving, status="success", id=id_)
        assert isinstance(await waiting, Success)
        await outcomes.aclose()
    assert 2 == emulator.polls[ticket]
    await store.aclose()


async def test_end_seen_for_a_slot_ends_the_wait_of_another_client(store):
    """One client polls its ticket because a submit needs the slot, and another one waits for it."""
    emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(0.01, 0.01), eta="none"))
    pace = Pace(floor=0.01, ceiling=LONG_S, max_eta_wait=LONG_S)
    account = store.account(queue=1)
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account) as submitter,
        Client(KEY, base_url=url, account=account, pace=pace) as waiter,
        asyncio.timeout(DEADLINE_S),
    ):
        ticket = (await submitter.submit("realtime/text2img", prompt="a fox")).ticket
        running = b'{"status": "processing", "id": %s, "eta": %d}' % (ticket.id.encode(), LONG_S)
        emulator.script(ticket, [ScriptedReply(200, running), None])
        waiting = asyncio.create_task(waiter.wait(ticket))
        while not emulator.polls[ticket]:  # noqa: ASYNC110 -- a poll has no event here.
            await asyncio.sleep(0.01)
        await submitter.submit("realtime/text2img", prompt="a second fox")
        assert isinstance(await waiting, Success)
    assert 3 == emulator.polls[ticket]


async def test_end_that_a_caller_waited_for_is_not_shared(store):
    """So the tickets of a batch do not fill the account with hints."""
    emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(0.01, 0.01)))
    account = store.account(queue=1)
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account) as client,
        asyncio.timeout(DEADLINE_S),
    ):
        await asyncio.gather(
            *(client.generate("realtime/text2img", prompt=f"fox {number}") for number in range(3))
        )
    assert [] == store.run("SELECT hint FROM webhook_hints")


class CountingMembership:
    """A membership that counts the reports of its client."""

    waiting_interval_s = 0.02

    def __init__(self):
        self.reports = 0

    def clock(self):
        return 0.0

    def call_on_news(self, _):
        pass

    async def exchange(self, _):
        self.reports += 1
        return {}

    async def share_hints(self, _):
        return []

    async def leave(self, _):
        pass


def test_client_that_was_idle_reads_hints_once_it_waits(virtually, world):
    """It need not wait for its next report, which would be due seconds later."""

    async def main():
        membership = CountingMembership()
        account = SimpleNamespace(
            rate=None, queue=5, join=lambda _: AccountLink(membership, str, has_rate=False)
        )
        async with world(account=account) as here, here.client:
            here.emulator.add_job("images:7", duration=30.0)
            await asyncio.sleep(3.0)
            assert 1 == membership.reports
            waiting = asyncio.create_task(here.client.wait("images:7"))
            await asyncio.sleep(0.6)
            assert 4 == membership.reports
            await waiting

    virtually(main)


class LeavingMembership:
    """A membership whose client begins to leave while it gives its first hint."""

    def __init__(self, late_hint):
        self.given = []
        self.link = AccountLink(self, str, has_rate=False)
        self._late_hint = late_hint
        self.closing = None
        self.waiting_interval_s = 0.02

    def clock(self):
        return 0.0

    def call_on_news(self, _):
        pass

    async def exchange(self, _):
        return {}

    async def share_hints(self, hints):
        self.given.append(hints)
        if self.closing is None:
            self.closing = asyncio.create_task(self.link.aclose())
            await asyncio.sleep(0)
            self.link.share_hint(self._late_hint)
        return []

    async def leave(self, _):
        self.given.append("left")


async def test_hint_that_comes_while_the_client_leaves_is_passed_on():
    """A function that lives for one request closes its client right after the webhook."""
    first, second = WebhookHint(("7",), ""), WebhookHint(("8",), "")
    membership = LeavingMembership(second)
    membership.link.share_hint(first)
    membership.link.start([], IDLE_POLLER, None)
    async with asyncio.timeout(DEADLINE_S):
        while membership.closing is None:  # noqa: ASYNC110 -- the link has no event for this.
            await asyncio.sleep(0)
        await membership.closing
    assert [(first,), (second,), "left"] == membership.given


class FailingMembership(LeavingMembership):
    """A membership that cannot pass on hints for some time. Its client does not leave."""

    def __init__(self, failures):
        super().__init__(None)
        self._failures = failures

    async def share_hints(self, hints):
        self.given.append(hints)
        if self._failures:
            self._failures -= 1
            # A webhook arrives meanwhile.
            self.link.share_hint(WebhookHint((f"late {self._failures}",), ""))
            raise AccountError("the table is locked", path="account")
        return []


async def test_hints_that_could_not_be_passed_on_are_passed_on_later(caplog):
    """Polls and submits do not wait for that, and the log names it once."""
    first = WebhookHint(("7",), "")
    membership = FailingMembership(2)
    membership.link.share_hint(first)
    membership.link.start([], IDLE_POLLER, None)
    async with asyncio.timeout(DEADLINE_S):
        while len(membership.given) < 3:  # noqa: ASYNC110 -- the link has no event for this.
            await asyncio.sleep(0.01)
        await membership.link.aclose()
    assert [["7"], ["7", "late 1"], ["7", "late 1", "late 0"]] == [
        [hint.ids[0] for hint in given] for given in membership.given[:3]
    ]
    (warning,) = caplog.messages
    assert warning.startswith("the account passes on no webhooks for now")


async def test_client_leaves_even_if_its_hints_cannot_be_passed_on(caplog):
    """So its connection is closed, and the other clients need not wait until it counts as dead."""
    membership = FailingMembership(9)
    membership.link.start([], IDLE_POLLER, None)
    membership.link.share_hint(WebhookHint(("7",), ""))
    async with asyncio.timeout(DEADLINE_S):
        await membership.link.aclose()
    assert "left" == membership.given[-1]
    assert caplog.messages[-1].startswith("the account was left without a last report")
