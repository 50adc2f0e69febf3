"""An answer of the account that comes late, because the client stood still meanwhile."""

import asyncio

from modelslab_async import AccountError, Client, Pace
from modelslab_async._account.account_link import AccountLink
from modelslab_async._account.report_and_answer_types import KeyAllotment
from modelslab_async.emulator import Emulator, ScriptedReply, run_server


class StoppedMembership:
    """A membership that grants each slot, the first time in an answer that comes after an hour."""

    waiting_interval_s = 0.01
    rate = None
    queue = 1

    def __init__(self, leap):
        self._leap = leap
        self.seen = []

    def join(self, digest_of):
        return AccountLink(self, digest_of, has_rate=False)

    def clock(self):
        return 0.0

    def call_on_news(self, _):
        """No news comes."""

    async def exchange(self, reports):
        allotments = {}
        for key, report in reports.items():
            use = report.slots
            if use.waiting:
                self.seen.append(use.in_flight)
                if len(self.seen) == 1:
                    self._leap(3600.0)
            allotments[key] = KeyAllotment(slot_limit=use.total + use.waiting)
        return allotments

    async def share_hints(self, _):
        return []

    async def leave(self, _):
        """The account is not told."""


async def test_late_answer_grants_no_slot(leap):
    """By then, the account may have given the slot to another client. So this client asks again."""
    leap(0.0)
    account = StoppedMembership(leap)
    emulator = Emulator()
    async with (
        run_server(emulator) as url,
        Client("a-key", base_url=url, account=account) as client,
    ):
        await client.submit("realtime/text2img", prompt="a fox")
    assert {0} == set(account.seen)
    assert 2 <= len(account.seen)


class LosingMembership(StoppedMembership):
    """A membership that grants poll times, and whose second answer gets lost."""

    rate = 100
    queue = None

    def __init__(self):
        self.reported = []
        self._clock = asyncio.get_running_loop().time

    def join(self, digest_of):
        return AccountLink(self, digest_of, has_rate=True)

    def clock(self):
        return self._clock()

    async def exchange(self, reports):
        now, allotments = self.clock(), {}
        for key, report in reports.items():
            self.reported.append(report.poll_results)
            times = tuple(now + n / 1e6 for n in range(report.polls_wanted))
            allotments[key] = KeyAllotment(poll_times=times)
        if report.poll_results and len([each for each in self.reported if each]) == 1:
            raise AccountError("the answer got lost", path="account")
        return allotments

    async def leave(self, reports):
        self.reported.extend(report.poll_results for report in reports.values())


async def test_results_of_polls_are_reported_until_an_answer_comes():
    """The account learns of each poll, and of none that it knows already."""
    emulator = Emulator()
    ticket = emulator.add_job("images:1")
    running = ScriptedReply(200, b'{"status": "processing"}')
    emulator.script(ticket, [*[running] * 5, ScriptedReply(200, b'{"status": "success"}')])
    account = LosingMembership()
    pace = Pace(floor=0.1, ceiling=0.1)
    async with (
        run_server(emulator) as url,
        Client("a-key", base_url=url, account=account, pace=pace) as client,
    ):
        await client.wait(ticket)
    first, second, *others = [each for each in account.reported if each]
    assert first == second[: len(first)]
    later = [result for results in (second, *others) for result in results]
    assert len(later) == len(set(later))
    # A poll is reported before its end too if it takes long.
    started = {result.granted for result in later if result.rests_from is not None}
    assert emulator.polls[ticket] == len(started)
