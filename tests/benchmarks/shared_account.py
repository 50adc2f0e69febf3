"""What an account that processes share costs: a freed slot taken elsewhere, and the rate in use.

`python tests/benchmarks/shared_account.py sqlite 2 8 32` writes one line for each number of
processes; `postgresql://...` in place of `sqlite` measures a database. One more process then wants
a single poll now and then, beside all that poll as often as they may.
"""

import argparse
import asyncio
import bisect
import itertools
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from modelslab_async import AccountError, PostgresAccount, SQLiteAccount
from modelslab_async._account.granted_poll_times import GrantedPollTimes
from modelslab_async._account.poll_permit_rules import MAX_LATENESS_S
from modelslab_async._account.report_and_answer_types import (
    HeldTicket,
    KeyReport,
    PollResult,
    SlotUse,
)
from modelslab_async._aio.yield_and_wakeup import Wakeup
from modelslab_async._models.ticket import Ticket

KEY = "measured"
RATE = 200.0
SINGLE_INTERVAL_S = 0.7


def join(store: str) -> Any:
    """One more member of the account."""
    if store.startswith("postgresql:"):
        return PostgresAccount(store, rate=RATE, queue=1, schema="measured").make_membership()
    return SQLiteAccount(store, rate=RATE, queue=1).make_membership()


async def exchange(member: Any, report: KeyReport) -> Any:
    """Report until the account answers, as a client does."""
    while True:
        try:
            return (await member.exchange({KEY: report}))[KEY]
        except AccountError:
            await asyncio.sleep(0)


async def wait_for_single_polls(store: str, seconds: float) -> list[float]:
    """Want one poll at a time. Return how long each waited for its time."""
    member, waits, loop = join(store), [], asyncio.get_running_loop()
    end = loop.time() + seconds
    results: tuple[PollResult, ...] = ()
    while loop.time() < end:
        began, when = loop.time(), 0.0
        # A time that came too late is of no use.
        while when < member.clock() - MAX_LATENESS_S:
            report = KeyReport(polls_wanted=1, poll_results=results)
            (when,) = (await exchange(member, report)).poll_times
            results = (PollResult(when, None),)
        waits.append(loop.time() + max(0.0, when - member.clock()) - began)
        await asyncio.sleep(SINGLE_INTERVAL_S)
    await member.leave({KEY: KeyReport(poll_results=results)})
    return waits


async def poll(store: str, seconds: float) -> list[float]:
    """Poll as often as the account allows, and return when."""
    member, polls, loop = join(store), [], asyncio.get_running_loop()
    wakeup = asyncio.Event()
    times = GrantedPollTimes(loop.time, wakeup.set)
    end = loop.time() + seconds
    while loop.time() < end:
        allowed = times.next_allowed
        if times.wanted:
            results = times.report_results()
            report = KeyReport(polls_wanted=times.wanted, poll_results=results)
            reply = await exchange(member, report)
            times.forget_reported()
            times.grant(reply.poll_times, member.clock() - loop.time())
        elif allowed > loop.time():
            await asyncio.sleep(allowed - loop.time())
        else:
            times.record(now := loop.time())
            times.finish(now, now, is_answered=True)
            polls.append(time.monotonic())
    # Permits of unreported polls would be out of use in the next measurement.
    await member.leave({KEY: KeyReport(poll_results=times.report_last_results())})
    return polls


async def take_turns(store: str, rounds: int) -> list[tuple[float, str]]:
    """Wait for the only slot, free it, and wait again. Return when it was taken and freed."""
    member, moments, news = join(store), [], Wakeup()
    member.call_on_news(news.wake)
    for number in range(rounds):
        while True:
            if (await exchange(member, KeyReport(slots=SlotUse(waiting=1)))).slot_limit:
                break
            await news.wait(member.waiting_interval_s)
        moments.append((time.monotonic(), "taken"))
        ticket = HeldTicket(Ticket("images", number + 1), "", member.clock())
        await exchange(member, KeyReport(slots=SlotUse(tickets=(ticket,))))
        moments.append((time.monotonic(), "freed"))
        # A slot that is granted to a member that leaves would count as uncertain for two minutes.
        is_last = number == rounds - 1
        await exchange(member, KeyReport(slots=SlotUse(waiting=0 if is_last else 1)))
        # The slot goes to a member that has waited for longer, so this one is not given it again.
    await member.leave({})
    return moments


def run(work: Any, store: str, amount: float) -> Any:
    """Run one member in a process of its own."""
    return asyncio.run(work(store, amount))


def measure(store: str, count: int, seconds: float, rounds: int) -> None:
    """Measure with this many processes."""
    with multiprocessing.get_context("fork").Pool(count + 1) as pool:
        # Imported modules are ready before the first measurement.
        pool.map(time.sleep, [0.5] * (count + 1), chunksize=1)
        single = pool.apply_async(run, (wait_for_single_polls, store, seconds))
        polls_of_each = pool.starmap(run, [(poll, store, seconds)] * count, chunksize=1)
        single_waits = single.get()
        turns = pool.starmap(run, [(take_turns, store, rounds)] * count, chunksize=1)
    # Processes start and end one after the other, so the rate counts while all of them poll. One
    # that was never allowed to poll lowers what the others use.
    polled = [each for each in polls_of_each if each]
    polls = sorted(moment for each in polled for moment in each)
    first, last = max(each[0] for each in polled), min(each[-1] for each in polled)
    together = [moment for moment in polls if first <= moment <= last]
    share = len(together) / max(last - first, 1.0) / RATE
    most = max(
        bisect.bisect_left(polls, moment + 1.0) - number for number, moment in enumerate(polls)
    )
    moments = sorted(moment for each in turns for moment in each)
    waits = [
        later - earlier
        for (earlier, before), (later, after) in itertools.pairwise(moments)
        if (before, after) == ("freed", "taken")
    ]
    p95 = statistics.quantiles(waits, n=20)[-1]
    idle = f" ({count - len(polled)} never polled)" if len(polled) < count else ""
    print(
        f"{store.partition(':')[0]:.12} {count} processes{idle}: {share:.1%} of the rate used, at "
        f"most {most} of {RATE:g} polls in any second; a freed slot taken elsewhere: median "
        f"{statistics.median(waits) * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms ({len(waits)} times); "
        f"a single poll beside them waits {statistics.median(single_waits) * 1000:.0f} ms in the "
        f"median, {max(single_waits) * 1000:.0f} ms at most ({len(single_waits)} times)"
    )


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", help="sqlite, or the address of a database")
    parser.add_argument("processes", type=int, nargs="+")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long all poll")
    parser.add_argument("--rounds", type=int, default=100, help="how often each takes the slot")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store
        if store == "sqlite":
            store = str(Path(folder, "account.db"))
        for count in arguments.processes:
            measure(store, count, arguments.seconds, arguments.rounds)


if __name__ == "__main__":
    main()
