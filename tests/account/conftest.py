"""What the tests of accounts share: members of one account, on a clock that a test moves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define

from modelslab_async import Ticket
from modelslab_async._account.account_reports import HeldTicket, KeyReport, SlotUse
from modelslab_async._account.sqlite_account import SQLiteAccount, SQLiteMembership

KEY_DIGEST = "d1"


@define
class ManualClock:
    """A clock that stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@define
class Member:
    """One client of an account, without a client: it reports what a test says."""

    membership: SQLiteMembership
    clock: ManualClock
    tickets: list[Ticket] = Factory(list)
    in_flight: int = 0
    uncertain_until: tuple[float, ...] = ()
    has_left: bool = False

    async def report(self, waiting: int = 0, **more: Any) -> Any:
        """Report what the member uses, and admit as many submits as it may."""
        reports = {KEY_DIGEST: KeyReport(slots=self.use(waiting), **more)}
        allotment = (await self.membership.exchange(reports))[KEY_DIGEST]
        self.tickets.extend(held.ticket for held in allotment.adopted)
        if allotment.slot_limit is not None:
            self.in_flight += min(waiting, allotment.slot_limit - self.use().total)
        return allotment

    async def leave(self) -> None:
        """Leave the account with what the member still holds."""
        self.has_left = True
        await self.membership.leave({KEY_DIGEST: KeyReport(slots=self.use())})

    def submitted(self, id_: int) -> None:
        """Turn a submit in flight into a ticket."""
        self.in_flight -= 1
        self.tickets.append(Ticket("images", id_))

    def use(self, waiting: int = 0) -> SlotUse:
        """What the member uses."""
        return SlotUse(
            tickets=tuple(
                HeldTicket(ticket, "realtime/text2img", self.clock.now) for ticket in self.tickets
            ),
            in_flight=self.in_flight,
            uncertain_until=self.uncertain_until,
            waiting=waiting,
        )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "account.db"


MakeMembers = Callable[..., list[Member]]


@pytest.fixture
async def members(path: Path, clock: ManualClock) -> Any:
    """Make some members of one account. They leave it at the end of the test."""
    made: list[Member] = []

    def make(count: int, **limits: Any) -> list[Member]:
        account = SQLiteAccount(path, clock=clock, **limits)
        new = [Member(SQLiteMembership(account.path, clock), clock) for _ in range(count)]
        made.extend(new)
        return new

    yield make
    for member in made:
        if not member.has_left:
            await member.leave()
