"""What the tests of accounts share: members of one account, on a clock that a test moves."""

from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define

from modelslab_async import Ticket
from modelslab_async._account.report_and_answer_types import HeldTicket, KeyReport, SlotUse

from .stores import ManualClock, PostgresStore, SQLiteStore

KEY_DIGEST = "d1"


@define
class Member:
    """One client of an account, without a client: it reports what a test says."""

    membership: Any
    clock: ManualClock
    store: Any
    tickets: list[Ticket] = Factory(list)
    in_flight: int = 0
    uncertain_until: tuple[float, ...] = ()
    has_left: bool = False

    async def report(self, waiting: int = 0, **more: Any) -> Any:
        """Report what the member uses, and admit as many submits as it may."""
        await self.store.set_clock(self.clock)
        reports = {KEY_DIGEST: KeyReport(slots=self.use(waiting), **more)}
        allotment = (await self.membership.exchange(reports))[KEY_DIGEST]
        self.tickets.extend(held.ticket for held in allotment.adopted)
        if allotment.slot_limit is not None:
            self.in_flight += min(waiting, allotment.slot_limit - self.use().total)
        return allotment

    async def leave(self) -> None:
        """Leave the account with what the member still holds."""
        self.has_left = True
        await self.store.set_clock(self.clock)
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


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, path: Path) -> Any:
    """An empty store of each kind."""
    if request.param == "sqlite":
        yield SQLiteStore(path)
        return
    store = PostgresStore(request.getfixturevalue("postgres").address)
    yield store
    await store.aclose()


@define
class MemberMaker:
    """Makes some members of one account. They leave it at the end of the test."""

    store: Any
    clock: ManualClock
    _made: list[Member] = Factory(list)

    def __call__(self, count: int, **limits: Any) -> list[Member]:
        account = self.store.account(self.clock, **limits)
        new = [Member(self.store.membership(account), self.clock, self.store) for _ in range(count)]
        self._made.extend(new)
        return new

    async def aclose(self) -> None:
        for member in self._made:
            if not member.has_left:
                await member.leave()


@pytest.fixture
async def members(store: Any, clock: ManualClock) -> Any:
    """Make members of one account, in a store of each kind."""
    made = MemberMaker(store, clock)
    yield made
    await made.aclose()


@pytest.fixture
async def sqlite_members(path, clock):
    """Make members of an account in a file."""
    made = MemberMaker(SQLiteStore(path), clock)
    yield made
    await made.aclose()
