"""An answer of the account that comes late, because the client stood still meanwhile."""

from modelslab_async import Client
from modelslab_async._account.account_link import AccountLink
from modelslab_async._account.account_messages import KeyAllotment
from modelslab_async.emulator import Emulator, run_server


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
