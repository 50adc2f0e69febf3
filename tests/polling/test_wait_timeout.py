"""The timeout that a client gives each wait whose caller gives none."""

import asyncio
from contextlib import aclosing

import pytest

from modelslab_async import Batch, Success, Unresolved, WaitTimeout
from modelslab_async.emulator import Jobs

TICKET = "images:1"
SLOW = {"duration": 100.0}
REQUEST = ("realtime/text2img", {"prompt": "a fox"})


def now():
    return asyncio.get_running_loop().time()


async def first(results):
    async with aclosing(results):
        return await anext(results)


WAITS = {
    "wait": lambda client, **more: client.wait(TICKET, **more),
    "gather": lambda client, **more: client.gather([TICKET], **more),
    "stream": lambda client, **more: first(client.stream([TICKET], **more)),
    "generate": lambda client, **more: client.generate(REQUEST[0], **REQUEST[1], **more),
    "generate_many": lambda client, **more: first(client.generate_many([REQUEST], **more)),
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, 10.0), ({"timeout": None}, 10.0), ({"timeout": 20.0}, 20.0)],
    ids=["none given", "None", "own"],
)
@pytest.mark.parametrize("method", WAITS)
def test_wait_ends_after_the_client_s_timeout(virtually, world, method, given, expected):
    """A timeout of the call takes precedence; None stands for the client's."""

    async def main():
        emulated = {"jobs": Jobs(duration=(100.0, 100.0))}
        async with world(wait_timeout=10.0, emulated=emulated) as here:
            here.emulator.add_job(TICKET, **SLOW)
            try:
                result = await WAITS[method](here.client, **given)
            except WaitTimeout as error:
                result = error
            assert expected == pytest.approx(now())
            match result:
                case (_, outcome) | [outcome]:
                    assert isinstance(outcome, Unresolved)
                case _:
                    assert isinstance(result, (WaitTimeout, Unresolved))

    virtually(main)


@pytest.mark.parametrize("method", WAITS)
def test_infinite_timeout_is_no_limit(virtually, world, method):
    """It is for the one long wait of a client whose other waits are short."""

    async def main():
        emulated = {"jobs": Jobs(duration=(100.0, 100.0))}
        async with world(wait_timeout=10.0, emulated=emulated) as here:
            here.emulator.add_job(TICKET, **SLOW)
            await WAITS[method](here.client, timeout=float("inf"))
            assert now() >= 100.0

    virtually(main)


def test_watch_has_no_limit(virtually, world):
    """It takes no timeout, and its caller sees how the job goes on, however long that takes."""

    async def main():
        async with world(wait_timeout=10.0) as here:
            here.emulator.add_job(TICKET, **SLOW)
            *_, last = [update async for update in here.client.watch(TICKET)]
            assert isinstance(last, Success)
            assert now() >= 100.0

    virtually(main)


def test_slot_is_not_part_of_the_wait(virtually, world):
    """The client's timeout begins when the work was started, so a queue of submits does not end."""

    async def main():
        emulated = {"jobs": Jobs(duration=(9.0, 9.0))}
        async with world(wait_timeout=10.0, queue=1, emulated=emulated) as here:
            name, params = REQUEST
            results = [here.client.generate(name, **params, seed=number) for number in range(3)]
            assert 3 == len(await asyncio.gather(*results))
            assert now() >= 27.0

    virtually(main)


async def test_batch_uses_the_timeout_of_its_client(world, tmp_path):
    """A ticket that is still open then is left to the next run."""
    async with (
        world(wait_timeout=0.2) as here,
        Batch.open(tmp_path / "a.journal", client=here.client) as batch,
    ):
        here.emulator.add_job(TICKET, duration=3600.0)
        await batch.add([TICKET])
        [outcome] = [each async for each in batch.run()]
        assert isinstance(outcome, Unresolved)
        assert isinstance(outcome.cause, WaitTimeout)
