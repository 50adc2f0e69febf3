"""Every fault by its name, over a socket: how the wait ends, and that nothing is left behind."""

import asyncio
import random

import httpx
import pytest
from everyday import pairs
from faults.simulate import KEY, Network
from http_codecs import CODECS, HTTP11_TRANSPORTS

from modelslab_async import (
    AuthenticationError,
    Client,
    InvalidRequest,
    Pace,
    Paused,
    PaymentRequired,
    PermissionDenied,
    PollFailed,
    ServerError,
    Success,
    TransientError,
)
from modelslab_async.emulator import Emulator, Faults, Jobs, Traffic, run_faulty_server
from modelslab_async.emulator.faults.connection_faults import CONNECTION_FAULTS
from modelslab_async.emulator.faults.fault_plan import FAULTS
from modelslab_async.emulator.faults.wrong_replies import WRONG_REPLIES

TRANSPORTS = {
    **HTTP11_TRANSPORTS,
    "httpx": httpx.AsyncHTTPTransport,
}
QUICK = Pace(floor=0.02, max_failures=30)
REFUSED = {
    "status_400": InvalidRequest,
    "status_401": AuthenticationError,
    "status_402": PaymentRequired,
    "status_403": PermissionDenied,
    "status_422": InvalidRequest,
    "message_401": AuthenticationError,
    "message_402": PaymentRequired,
    "message_403": PermissionDenied,
    "message_422": InvalidRequest,
}
# These may occur any number of times: they are replies, or harmless.
NO_FAULT = {
    "slow", "no_content_length", "interim", "extra_reply", "late_extra_reply", "close_idle", "nan",
    "foreign_links", "status_404",
}  # fmt: skip
HINTS = {
    "rate_limit": (0.5, 1.0),
    "rate_limit_seconds": (30.0, 30.0),
    "rate_limit_date": (30.0, 30.0),
    "rate_limit_past": (1.0, 1.0),
    "rate_limit_reset": (30.0, 30.0),
    "rate_limit_huge": (300.0, 300.0),
    "rate_limit_garbage": (0.5, 1.0),
    "rate_limit_negative": (0.5, 1.0),
    "rate_limit_nan": (0.5, 1.0),
    "rate_limit_body": (30.0, 30.0),
    "rate_limit_message": (30.0, 30.0),
    "status_503_retry_after": (30.0, 30.0),
}
# These are failures that can go on for ever. A rate limit counts as no failure.
STAYING = {
    name
    for name in FAULTS.keys() - REFUSED.keys() - NO_FAULT
    if not name.startswith("rate_limit") and name not in ("reset_idle", "burst")
}


# These last until the poll times out, or longer than they should. All others end by themselves, so
# their timeout is long: a busy machine must not cause one.
LASTING = {name for name in FAULTS if name.startswith("endless")}
LASTING |= {"drip", "hang", "hang_before", "huge_body"}


def timeout_for(name, kind=""):
    """
    Return the timeout of a poll that meets this fault.

    A true reply has to come in time too, however busy the machine is, and httpx takes longer.
    """
    if name not in LASTING:
        return 60.0
    return 1.0 if kind == "httpx" else 0.3


def striking(name, times=2, **more):
    """Faults that occur so many times, followed by true replies."""
    if name in CONNECTION_FAULTS:
        return Faults(connections=[name] * times, **more)
    return Faults(script=[name] * times, **more)


def emulated():
    return Emulator(jobs=Jobs(duration=(0.0, 0.0)))


def a_client(url, **more):
    return Client("any-key-1234", base_url=url, **{"pace": QUICK, "timeout": 60.0, **more})


SURVIVED = sorted(FAULTS.keys() - REFUSED.keys() - {"rate_limit_huge", "burst"})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *pairs([*CODECS], [name for name in SURVIVED if name in WRONG_REPLIES]),
        # Replies are parsed alike over every transport; faults of connections are not alike.
        *pairs([*CODECS, "httpx"], [name for name in SURVIVED if name not in WRONG_REPLIES]),
    ],
)
async def test_wait_survives(leaks, kind, name):
    """The fault occurs twice; the wait goes on, gets its own result and leaks nothing."""
    emulator, traffic, events = emulated(), Traffic(), []
    faults = striking(name, delay=0.05, hint=0.05)
    async with (
        leaks(),
        run_faulty_server(emulator, faults, traffic=traffic) as url,
        a_client(
            url,
            http=TRANSPORTS[kind](),
            workers=1,
            timeout=timeout_for(name, kind),
            on_event=events.append,
        ) as client,
    ):
        for number in (1, 2):
            emulator.add_job(("realtime", number))
            success = await asyncio.wait_for(client.wait(("realtime", number)), 120.0)
            assert isinstance(success, Success)
            assert f"/{number}-0." in success.output[0]
            # Bytes after a reply have time to come, as between two polls.
            await asyncio.sleep(0.02)
    assert traffic.injected.total() >= 2
    assert (name in NO_FAULT) == (not any(isinstance(each, PollFailed) for each in events))


@pytest.mark.parametrize("name", sorted(STAYING))
async def test_permanent_fault_ends_the_wait_after_max_failures(leaks, name):
    """A fault that never ends stops the wait after as many polls as the pace allows."""
    events = []
    faults = Faults(shares={name: 1.0}, delay=0.05, hint=0.05)
    async with (
        leaks(),
        run_faulty_server(emulated(), faults) as url,
        a_client(
            url,
            pace=Pace(floor=0.02, max_failures=3),
            timeout=timeout_for(name),
            on_event=events.append,
        ) as client,
    ):
        with pytest.raises(TransientError) as caught:
            await asyncio.wait_for(client.wait("realtime:1"), 120.0)
        assert "realtime:1" == str(caught.value.ticket)
        assert [1, 2, 3] == [each.failures for each in events if isinstance(each, PollFailed)]


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_refusal_ends_all_waits_that_it_concerns(leaks, name):
    """A refused key costs one request for any number of waits, and every ticket can be resumed."""
    emulator, traffic = emulated(), Traffic()
    tickets = emulator.add_jobs(100, ["realtime"])
    async with (
        leaks(),
        run_faulty_server(emulator, striking(name, 1), traffic=traffic) as url,
        a_client(url, workers=1) as client,
    ):
        ends = await asyncio.gather(*map(client.wait, tickets), return_exceptions=True)
        refused = [end for end in ends if isinstance(end, REFUSED[name])]
        # A wrong request concerns one ticket alone.
        alone = REFUSED[name] is InvalidRequest
        assert (1 if alone else 100) == len(refused)
        assert (100 if alone else 1) == len(traffic.requests)
        assert all(end.ticket in tickets for end in refused)
        again = await client.gather([end.ticket for end in refused])
        assert all(isinstance(each, Success) for each in again)


@pytest.mark.parametrize("name", sorted(HINTS))
async def test_hint_over_a_socket_pauses_the_key(leaks, name):
    """Each form of a hint becomes a pause of the key."""
    emulator, events = emulated(), []
    received = asyncio.Event()

    def hear(event):
        events.append(event)
        received.set()

    async with (
        leaks(),
        run_faulty_server(emulator, striking(name, hint=30)) as url,
        a_client(url, pace=Pace(floor=1.0, jitter=0.0), on_event=hear) as client,
    ):
        waiting = asyncio.create_task(client.wait(emulator.add_job("realtime:1")))
        await asyncio.wait_for(received.wait(), 60.0)
        # The events of one poll come in one iteration of the event loop.
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    (pause,) = [each.seconds for each in events if isinstance(each, Paused)]
    low, high = (0.5, 1.0) if name == "status_503_retry_after" else HINTS[name]
    assert low <= pause <= high


@pytest.mark.parametrize("name", sorted(HINTS))
def test_pause_follows_a_hint(virtually, name):
    """The next poll is sent when the server asked for it: not before, and not much later."""

    async def main():
        clock = asyncio.get_running_loop().time
        polls = []
        emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), clock=clock)
        network = Network(emulator, random.Random(1), 0.0, 0.0, Faults(hint=30.0), script=[name])

        class Clocked:
            async def exchange(self, request):
                polls.append(clock())
                return await network.exchange(request)

        async with Client(KEY, http=Clocked(), pace=Pace(floor=1.0)) as client:
            assert isinstance(await client.wait(emulator.add_job("realtime:1")), Success)
        low, high = HINTS[name]
        assert low - 1e-6 <= polls[1] - polls[0] <= high + 1e-6

    virtually(main)


def test_burst_is_survived_with_larger_max_failures(virtually):
    """Twenty server errors in a row end a wait with a limit of ten, and not one with thirty."""

    async def main():
        loop = asyncio.get_running_loop()
        emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), clock=loop.time)
        ticket = emulator.add_job("realtime:1")
        for faults in (10, 30):
            network = Network(emulator, random.Random(1), 0.0, 0.0, script=["status_502"] * 20)
            async with Client(KEY, http=network, pace=Pace(max_failures=faults)) as client:
                if faults == 10:
                    with pytest.raises(ServerError):
                        await client.wait(ticket)
                    # The rest of the burst comes when the same ticket is waited for again.
                    network.script.clear()
                assert isinstance(await client.wait(ticket), Success)

    virtually(main)
