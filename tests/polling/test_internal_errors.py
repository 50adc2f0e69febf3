"""Exceptions that nothing is meant to raise: one ticket ends, and the poller polls the others."""

import asyncio
import json

import pytest

from modelslab_async import (
    Completed,
    Failed,
    ModelsLabError,
    Pace,
    Success,
    Ticket,
    Unresolved,
)
from modelslab_async._polling.watchers import NULL_WATCHER
from modelslab_async._scheduling.schedule import Schedule
from modelslab_async.emulator import ScriptedReply

KEY = "a-test-key-1234"


class ForeignError(Exception):
    """An error of a caller's own object, whose text contains the key."""


class ForeignBaseError(BaseException):
    """An error that `except Exception` does not catch."""


class PickyPace:
    """A pace whose steps for one family raise."""

    limits = Pace()

    def for_family(self, family):
        self.family = family
        return self

    def first_step(self, _eta, _jitter, *, just_submitted=False):
        return float(just_submitted)

    def step(self, _age, _jitter, *, eta=None):
        if self.family == "video":
            raise ForeignError(KEY)
        return 1.0 if eta is None else 2.0

    def learn(self, *_job):
        pass


def raise_for_video(function, error):
    """Wrap a method of the client so that it raises for tickets of one family."""

    def wrapped(ticket, *args, **kwargs):
        if ticket.family == "video":
            raise error(KEY)
        return function(ticket, *args, **kwargs)

    return wrapped


def break_transport(client, error):
    transport = client.engine.status_client._sender._transport

    class Transport:
        async def exchange(self, request):
            if "/video/" in request.url:
                # The sender replaces an error that quotes the key.
                raise error("no key in it")
            return await transport.exchange(request)

        async def aclose(self):
            await transport.aclose()

    client.engine.status_client._sender._transport = Transport()


def break_parser(client, error):
    reader = client.engine.status_client._reader

    class Reader:
        read = staticmethod(raise_for_video(reader.read, error))

    client.engine.status_client._reader = Reader()


def break_status_client(client, error):
    client.engine.status_client.poll = raise_for_video(client.engine.status_client.poll, error)


def break_guard(client, error):
    client.engine.poller.poll_guards.append(raise_for_video(lambda _: True, error))


@pytest.mark.parametrize("error", [ForeignError, ForeignBaseError])
@pytest.mark.parametrize(
    "break_client", [break_transport, break_parser, break_status_client, break_guard]
)
def test_foreign_exception_ends_its_ticket_alone(virtually, world, caplog, break_client, error):
    """The ticket ends as unresolved without the text of the error; other tickets succeed."""

    async def main():
        async with world(api_key=KEY) as here:
            break_client(here.client, error)
            for number in range(3):
                here.emulator.add_job(("images", number), duration=10.0)
                here.emulator.add_job(("video", number), duration=10.0)
            tickets = [(family, n) for n in range(3) for family in ("images", "video")]
            outcomes = await here.client.gather(tickets)
            assert 3 == sum(isinstance(each, Success) for each in outcomes)
            for outcome in outcomes[1::2]:
                assert isinstance(outcome, Unresolved)
                assert type(outcome.cause) is ModelsLabError
                assert outcome.ticket == outcome.cause.ticket
                assert error.__name__ in str(outcome.cause)
                assert KEY not in repr(outcome) + str(outcome.cause)
            here.emulator.add_job("images:9", duration=10.0)
            assert isinstance(await here.client.wait("images:9"), Success)

    virtually(main)
    assert f"raised {error.__name__} in " in caplog.text
    assert KEY not in caplog.text


def test_raising_pace_ends_its_tickets_alone(virtually, world):
    """A pace of the caller's own that raises for one family leaves the others alone."""

    async def main():
        async with world(pace=PickyPace()) as here:
            here.emulator.add_job("images:1", duration=10.0)
            here.emulator.add_job("video:1", duration=10.0)
            good, bad = await here.client.gather(["images:1", "video:1"])
            assert isinstance(good, Success)
            assert "ForeignError" in str(bad.cause)

    virtually(main)


@pytest.mark.parametrize("wrong", ["raises", "nan", "None"])
def test_wrong_first_step_ends_its_ticket_alone(virtually, world, caplog, wrong):
    """The other tickets of a gather succeed, and a watch and a wait end with the same error."""

    class Broken(PickyPace):
        def first_step(self, _eta, _jitter, *, just_submitted=False):
            if self.family != "video":
                return float(just_submitted)
            if wrong == "raises":
                raise ForeignError(KEY)
            return float("nan") if wrong == "nan" else None

    async def main():
        async with world(pace=Broken()) as here:
            here.emulator.add_job("images:1", duration=10.0)
            good, bad = await here.client.gather(["images:1", "video:1"])
            assert isinstance(good, Success)
            assert isinstance(bad, Unresolved)
            assert "wait for the same ticket again" in str(bad.cause)
            (update,) = [each async for each in here.client.watch("video:1")]
            assert str(bad) == str(update)
            with pytest.raises(ModelsLabError) as caught:
                await here.client.wait("video:1")
            assert str(bad.cause) == str(caught.value)

    virtually(main)
    assert 3 == caplog.text.count("polling video:1 raised ")
    assert KEY not in caplog.text


@pytest.mark.parametrize("seconds", [float("nan"), None])
def test_pace_that_gives_no_number_ends_its_ticket(virtually, world, seconds):
    """A step that is no number ends the ticket instead of disturbing the order of others."""

    class Broken(PickyPace):
        def step(self, _age, _jitter, *, eta=None):  # noqa: ARG002 -- the protocol's name.
            return seconds if self.family == "video" else 1.0

    async def main():
        async with world(pace=Broken()) as here:
            here.emulator.add_job("images:1", duration=10.0)
            here.emulator.add_job("video:1", duration=10.0)
            good, bad = await here.client.gather(["images:1", "video:1"])
            assert isinstance(good, Success)
            assert isinstance(bad, Unresolved)

    virtually(main)


def test_raising_watcher_fails_alone(virtually, world):
    """Of two watchers of a ticket, the one that raises gets its error, the other the outcome."""

    class Raising:
        wants_updates = False
        context = None
        failure = None

        def notify(self, _update):
            raise ForeignError(KEY)

        def fail(self, error):
            self.failure = error

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=10.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(0)
            await asyncio.sleep(1.0)
            (entry,) = here.client.engine.poller._schedule._open.values()
            raising = Raising()
            entry.watchers = (raising, *entry.watchers)
            assert isinstance(await waiting, Success)
            assert isinstance(raising.failure, ForeignError)

    virtually(main)


def test_stopped_poller_tells_every_caller_what_to_do(virtually, world, monkeypatch):
    """A defect in the schedule reaches every caller at once, the first one too, and later ones."""

    def broken_take(_schedule, _now):
        raise ForeignError(KEY)

    async def main():
        async with world() as here:
            here.emulator.add_job("images:0", duration=0.0)
            await here.client.wait("images:0")
            monkeypatch.setattr(Schedule, "take", broken_take)
            waits = [here.client.wait(("images", number)) for number in range(5)]
            errors = await asyncio.gather(*waits, return_exceptions=True)
            with pytest.raises(RuntimeError) as later:
                await here.client.gather(["images:9"])
            for error in [*errors, later.value]:
                assert isinstance(error, RuntimeError)
                assert not hasattr(error, "__notes__")
                error.add_note("of one caller")
                assert "make a new one and wait for the same tickets again" in str(error)
                assert "ForeignError" in str(error)
                assert KEY not in str(error)

    virtually(main)


def test_foreign_exception_after_cancelled_wait_is_logged_alone(virtually, world, caplog):
    """A ticket that no caller waits for any more ends without an outcome."""

    async def main():
        async with world() as here:

            class Transport:
                async def exchange(self, _request):
                    await asyncio.sleep(1.0)
                    raise ForeignError("no key in it")

            here.client.engine.status_client._sender._transport = Transport()
            waiting = asyncio.create_task(here.client.wait("video:1"))
            await asyncio.sleep(0.5)
            waiting.cancel()
            await asyncio.sleep(1.0)
            assert 0 == len(here.client.engine.poller._schedule)

    virtually(main)
    assert "polling video:1 raised ForeignError" in caplog.text


def test_pace_that_cannot_learn_ends_no_other_ticket(virtually, world, caplog):
    """A pace whose `learn` raises for abandoned waits is logged, and other tickets go on."""

    class Forgetful(PickyPace):
        def learn(self, _last_running, first_done, _eta):
            if first_done is None:
                raise ForeignError(KEY)

    async def main():
        async with world(pace=Forgetful()) as here:
            here.emulator.add_job("images:1", duration=10.0)
            stream = here.client.stream(["images:2", "images:3", "images:1"])
            assert isinstance(await anext(stream), Failed | Success)
            await stream.aclose()
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)
    assert "raised ForeignError in learn" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("fails", [False, True])
def test_outcome_is_given_though_pace_cannot_learn(virtually, world, caplog, fails):
    """What `learn` raises is logged. The outcome is in hand, and the caller gets it."""

    class Forgetful(PickyPace):
        def learn(self, *_job):
            raise ForeignError(KEY)

    async def main():
        async with world(pace=Forgetful()) as here:
            here.emulator.add_job("images:1", duration=10.0, fails=fails)
            (outcome,) = await here.client.gather(["images:1"])
            assert isinstance(outcome, Failed if fails else Success)

    virtually(main)
    assert 1 == caplog.text.count("polling images:1 raised ForeignError in learn")
    assert KEY not in caplog.text


def test_error_of_the_slots_is_logged(virtually, world, caplog):
    """What the owner of the slots raises for one ticket does not stop the poller."""

    def raise_error(_ticket, _completion):
        raise ForeignError(KEY)

    async def main():
        async with world() as here:
            here.client.engine.poller.notifier.on_completed = raise_error
            for ticket in ("images:1", "images:2"):
                here.emulator.add_job(ticket, duration=1.0)
                assert isinstance(await here.client.wait(ticket), Success)

    virtually(main)
    assert "raised ForeignError in raise_error" in caplog.text


def test_error_about_unawaited_outcome_is_logged(virtually, world, caplog):
    """What `on_unawaited` raises for refused tickets is logged, and the poller polls others."""

    def raise_error(_outcome):
        raise ForeignError(KEY)

    async def main():
        events = []
        async with world(on_event=events.append) as here:
            here.client.engine.poller.notifier.on_unawaited = raise_error
            denied = json.dumps({"status": "error", "message": "requires a premium subscription"})
            for number in (1, 2):
                ticket = here.emulator.add_job(("video", number), duration=60.0)
                here.emulator.script(ticket, [ScriptedReply(403, denied.encode())])
                here.client.engine.poller.watch(ticket, NULL_WATCHER)
            await asyncio.sleep(30.0)
            ended = [event.outcome.ticket for event in events if isinstance(event, Completed)]
            assert [Ticket("video", 1), Ticket("video", 2)] == sorted(ended, key=str)
            here.emulator.add_job("images:1", duration=1.0)
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)
    assert "raised ForeignError in raise_error" in caplog.text
    assert KEY not in caplog.text


def test_system_exit_ends_the_program(virtually, world):
    """`SystemExit` and `KeyboardInterrupt` are not errors of a ticket: they are never held back."""

    class Transport:
        async def exchange(self, _request):
            raise SystemExit(3)

    async def main():
        async with world() as here:
            here.client.engine.status_client._sender._transport = Transport()
            await here.client.wait("images:1")

    with pytest.raises(SystemExit):
        virtually(main)
