"""Hosts that are cut off, stand still or have wrong clocks: no limit of the account is exceeded."""

import asyncio
import signal

import pytest
from fleet import Fleet

# Seconds without a report after which the others take a client for dead, where a test outlasts it.
LEASE_S = 2.0


async def test_cut_hosts_exceed_no_limit(rounds, seed):
    """Each cut is between one host and the store, the service or both, seen or not."""
    async with Fleet.running(seed) as fleet:
        for _ in range(rounds):
            links, is_silent = fleet.some_links(), fleet.dice.random() < 0.5
            # The service runs in this loop. If it stood still, it would see polls in bursts.
            for link in links:
                await asyncio.to_thread(link.cut, silently=is_silent)
            await asyncio.sleep(fleet.dice.uniform(0.05, 4.0))
            for link in links:
                await asyncio.to_thread(link.mend)
            await asyncio.sleep(fleet.dice.uniform(0.0, 2.0))


async def test_stopped_hosts_exceed_no_limit(rounds, seed):
    """A host stands still for longer than its lease, or for less, and then goes on."""
    async with Fleet.running(seed, lease_s=LEASE_S) as fleet:
        for _ in range(rounds):
            worker = fleet.dice.choice(fleet.workers)
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(fleet.dice.uniform(0.05, 2.0 * LEASE_S))
            worker.send_signal(signal.SIGCONT)
            await asyncio.sleep(fleet.dice.uniform(0.0, 2.0))


@pytest.mark.parametrize("shift_s", [2.0, 3600.0])
async def test_wrong_clocks_exceed_no_limit(rounds, seed, shift_s):
    """One clock is late, one is early, and both wall clocks are set twice a second."""
    async with Fleet.running(seed, clock_shifts_s=(0.0, shift_s, -shift_s)):
        await asyncio.sleep(rounds * 0.5)
