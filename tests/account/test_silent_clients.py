"""A client that the account does not hear: it gives its polls up, and reports their end later."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest
from attrs import Factory, define

from modelslab_async import Client, PollFailed, Response
from modelslab_async._account.account_link import AccountLink
from modelslab_async._account.poll_permit_rules import (
    GIVE_UP_AFTER_S,
    MAX_POLL_AGE_S,
    MAX_SILENCE_S,
)
from modelslab_async._account.report_and_answer_types import KeyAllotment
from modelslab_async._parsing.webhook_ids import WebhookHint

KEY = "a-test-key-1234"
TICKET = "images:1"
SUCCESS = b'{"status": "success", "id": 1, "output": ["https://files.example/1.png"]}'


@define
class CutMembership:
    """A membership that grants poll times. Its reports get lost from a certain time on."""

    cut_at: float
    rate: float | None = 100.0
    queue: int | None = None
    waiting_interval_s: float = 0.02
    answered: list[float] = Factory(list)
    results: list = Factory(list)
    wanted_at_last: set[int] = Factory(set)

    def join(self, digest_of):
        return AccountLink(self, digest_of, has_rate=self.rate is not None)

    def clock(self):
        return asyncio.get_running_loop().time() + 1000.0

    def call_on_news(self, _):
        """No news comes."""

    async def exchange(self, reports):
        now = asyncio.get_running_loop().time()
        if now >= self.cut_at:
            await asyncio.sleep(10.0)
            raise OSError("the network is interrupted")
        self.answered.append(now)
        allotments = {}
        for key, report in reports.items():
            self.results += report.poll_results
            times = (self.clock(),) * report.polls_wanted
            allotments[key] = KeyAllotment(poll_times=None if self.rate is None else times)
        return allotments

    async def share_hints(self, _):
        return []

    async def leave(self, reports):
        for report in reports.values():
            self.results += report.poll_results
            self.wanted_at_last.add(report.polls_wanted)


class MembershipCutAtHints(CutMembership):
    """The network is interrupted after the answer to the third report, and loses its hints."""

    async def share_hints(self, hints):
        if len(self.answered) < 3:
            return await super().share_hints(hints)
        self.cut_at = asyncio.get_running_loop().time()
        await asyncio.sleep(10.0)
        raise OSError("the network is interrupted")


class MembershipWithoutHints(CutMembership):
    """The account passes no hints on."""

    def join(self, digest_of):
        self.link = super().join(digest_of)
        return self.link

    async def share_hints(self, _):
        raise OSError("there is no table for hints")


class MembershipCutAtEnd(CutMembership):
    """The network is interrupted when the client leaves."""

    async def leave(self, _reports):
        await asyncio.sleep(30.0)
        raise OSError("the network is interrupted")


@define
class HoldingTransport:
    """A transport that keeps each request until it is cancelled, or for some seconds."""

    seconds: float = 1e6
    ends: list[tuple[float, float]] = Factory(list)

    async def exchange(self, _request):
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.ends.append((began, loop.time()))
        return Response(status_code=200, headers=[], body=SUCCESS)


def client_of(account, transport, **options):
    url = "https://service.example"
    return Client(KEY, base_url=url, account=account, http=transport, **options)


@pytest.mark.parametrize("timeout", [30.0, 300.0])
@pytest.mark.parametrize(
    "make_account", [partial(CutMembership, 0.1), partial(MembershipCutAtHints, 1e9)]
)
def test_client_that_reaches_no_account_gives_its_polls_up(virtually, make_account, timeout):
    """However long a poll may take, its permit goes to other clients only after that."""

    async def main():
        transport, failed = HoldingTransport(), asyncio.Event()
        account = make_account()

        def on_event(event):
            if isinstance(event, PollFailed):
                failed.set()

        client = client_of(account, transport, timeout=timeout, on_event=on_event)
        waiting = asyncio.create_task(client.wait(TICKET))
        await failed.wait()
        await client.aclose()
        await asyncio.gather(waiting, return_exceptions=True)
        check_given_up(transport)

    virtually(main)


def test_client_that_cannot_report_its_end_gives_its_polls_up(virtually):
    """It goes on for half a minute to tell the account, and its polls must not last so long."""

    async def main():
        transport = HoldingTransport()
        client = client_of(MembershipCutAtEnd(1e9), transport)
        waiting = asyncio.create_task(client.wait(TICKET))
        await asyncio.sleep(1.0)
        await client.aclose()
        await asyncio.gather(waiting, return_exceptions=True)
        check_given_up(transport)

    virtually(main)


def check_given_up(transport):
    """Check that the only poll was given up in time."""
    ((began, ended),) = transport.ends
    assert GIVE_UP_AFTER_S <= ended - began <= GIVE_UP_AFTER_S + 1.0
    assert ended - began < MAX_POLL_AGE_S


@pytest.mark.parametrize(("rate", "cut_at"), [(100.0, 1e9), (None, 0.1)])
def test_client_keeps_slow_polls_while_others_get_no_permit_of_them(virtually, rate, cut_at):
    """The account hears the client, or it limits no polls."""

    async def main():
        transport = HoldingTransport(seconds=20.0)
        account = CutMembership(cut_at=cut_at, rate=rate)
        async with client_of(account, transport) as client:
            await client.wait(TICKET)
        ((began, ended),) = transport.ends
        assert 20.0 == pytest.approx(ended - began)

    virtually(main)


def test_client_reports_until_no_permit_is_open(virtually):
    """No ticket is open any more, but the account would take the client for cut off."""

    async def main():
        account = CutMembership(cut_at=1e9)
        async with client_of(account, HoldingTransport(seconds=0.1)) as client:
            await client.wait(TICKET)
            ended = asyncio.get_running_loop().time()
            await asyncio.sleep(9.0)
            (result,) = account.results
            assert not result.is_open
            reports = [when for when in account.answered if when > ended]
            assert 1 == len(reports)
            assert reports[0] <= ended + 0.5

    virtually(main)


def test_client_whose_hints_fail_reports_as_often_as_before(virtually):
    """Otherwise the account would take it for cut off, and would keep back its open permits."""

    async def main():
        account = MembershipWithoutHints(1e9)
        async with client_of(account, HoldingTransport(seconds=9.0)) as client:
            waiting = asyncio.create_task(client.wait(TICKET))
            await asyncio.sleep(1.0)
            account.link.share_hint(WebhookHint(("7",), ""))
            await waiting
        assert max(later - sooner for sooner, later in pairwise(account.answered)) < MAX_SILENCE_S

    virtually(main)


def test_closed_client_leaves_no_permit_open(virtually):
    """Its last report says that its polls have ended, and asks for no more times."""

    async def main():
        account = CutMembership(cut_at=1e9)
        client = client_of(account, HoldingTransport())
        waiting = asyncio.create_task(client.wait(TICKET))
        await asyncio.sleep(1.0)
        await client.aclose()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not account.results[-1].is_open
        assert {0} == account.wanted_at_last

    virtually(main)
