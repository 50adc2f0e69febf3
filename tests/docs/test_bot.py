"""The bot of the documentation, run by its library without a network."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from telegram.ext import Application, ApplicationBuilder

from modelslab_async.emulator import Emulator, Jobs

from .conftest import Sent, until

Story = Callable[[], Coroutine[Any, Any, None]]


class ManualEmulator:
    """An emulator whose jobs last until a test ends them."""

    def __init__(self, **jobs: Any) -> None:
        self._now = 0.0
        jobs = {"duration": (4.0, 4.0), "eta": 0.25, **jobs}
        self.emulator = Emulator(jobs=Jobs(**jobs), clock=lambda: self._now, keys=["a-key"])

    def end(self) -> None:
        self._now += 60


@pytest.fixture
def run(telegram, program_of, serving, monkeypatch, tmp_path):
    """Run the bot from its start to its stop, as often as asked, while a story is played."""
    monkeypatch.chdir(tmp_path)

    async def played(application: Application, story: Story) -> None:
        try:
            await story()
        finally:
            await until(lambda: application.running)
            # `run_polling` can be stopped once it runs for good, which is when it polls again.
            polls = telegram.calls.count("getUpdates")
            await until(lambda: polls + 1 < telegram.calls.count("getUpdates"))
            application.stop_running()

    def run(work: ManualEmulator, story: Story, *, key: str = "a-key") -> None:
        program: dict[str, Any] = {"__name__": "bot"}
        exec(program_of("how-to/bot.md"), program)
        with serving(work.emulator) as base_url:
            for name, value in (("API_KEY", key), ("BASE_URL", base_url)):
                monkeypatch.setenv(f"MODELSLAB_{name}", value)
            builder = ApplicationBuilder().token("1:token")
            builder = builder.request(telegram).get_updates_request(telegram)
            application = program["build"](builder, program["Artist"]())
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            playing = loop.create_task(played(application, story))
            try:
                application.run_polling(stop_signals=None)
            finally:
                asyncio.set_event_loop(None)
            playing.result()

    return run


def owed() -> list[tuple[Any, ...]]:
    with sqlite3.connect("telegram_bot.sqlite") as file:
        rows = file.execute("SELECT * FROM owed").fetchall()
    file.close()
    return rows


def test_user_is_answered_at_once_and_gets_picture(run, telegram):
    """One message shows the progress, and then the picture comes."""
    work = ManualEmulator()

    async def story() -> None:
        telegram.people_say(7, "/draw a lighthouse")
        await until(lambda: telegram.lines(7)[-1:] == ["processing"])
        assert [] == telegram.photos(7)
        work.end()
        await until(lambda: telegram.lines(7)[-1:] == ["Done."])

    run(work, story)
    assert ["Queued.", "processing, about 1 s left", "processing", "Done."] == telegram.lines(7)
    [photo] = telegram.photos(7)
    [submit] = work.emulator.submits
    assert "a lighthouse" == submit.fields["prompt"]
    assert submit.ticket is not None
    assert submit.ticket.id in photo
    assert [] == owed()


def test_several_users_are_served_at_once(run, telegram):
    """No user waits for the picture of another, and each gets their own."""
    work = ManualEmulator()
    chats = (11, 12, 13)

    async def story() -> None:
        for chat in chats:
            telegram.people_say(chat, f"/draw number {chat}")
        await until(lambda: all(telegram.lines(chat)[-1:] == ["processing"] for chat in chats))
        work.end()
        await until(lambda: all(telegram.lines(chat)[-1:] == ["Done."] for chat in chats))

    run(work, story)
    tickets = {each.fields["prompt"]: str(each.ticket) for each in work.emulator.submits}
    for chat in chats:
        [photo] = telegram.photos(chat)
        assert tickets[f"number {chat}"].partition(":")[2] in photo


def test_owed_picture_is_sent_after_restart(run, telegram):
    """Its ticket is stored, its chat is told, and nothing is submitted again."""
    work = ManualEmulator()

    async def stopped_early() -> None:
        telegram.people_say(7, "/draw a lighthouse")
        await until(lambda: telegram.lines(7)[-1:] == ["processing"])

    run(work, stopped_early)
    assert ["I am being restarted. Then I go on with this."] == telegram.lines(7)[-1:]
    [submit] = work.emulator.submits
    assert [str(submit.ticket)] == [ticket for *_, ticket in owed()]
    work.end()

    async def started_again() -> None:
        await until(lambda: telegram.photos(7))
        await until(lambda: not owed())

    run(work, started_again)
    assert 1 == len(work.emulator.submits)
    assert ["Done."] == telegram.lines(7)[-1:]


def test_user_without_slot_is_told_when_bot_stops(run, telegram):
    """The account has five slots; the sixth request was not started, and may be asked again."""
    work = ManualEmulator()
    chats = range(11, 17)

    async def story() -> None:
        for chat in chats:
            telegram.people_say(chat, f"/draw number {chat}")
        await until(lambda: 5 == len(work.emulator.submits))
        await until(lambda: all(telegram.lines(chat) for chat in chats))

    run(work, story)
    last = [telegram.lines(chat)[-1] for chat in chats]
    assert 1 == last.count("I was stopped before I began. Ask me again.")
    assert 5 == len(work.emulator.submits) == len(owed())


def test_submit_cut_off_by_crash_is_not_repeated(run, telegram):
    """It is unknown whether it was started: the bot says so, and pays for nothing twice."""
    work = ManualEmulator()

    async def nothing() -> None:
        await until(lambda: "getUpdates" in telegram.calls)

    run(work, nothing)
    telegram.messages[99] = Sent(7, ["Queued."])
    with sqlite3.connect("telegram_bot.sqlite") as file:
        file.execute("INSERT INTO owed VALUES (5, 7, 99, NULL)")
    file.close()

    async def started_again() -> None:
        await until(lambda: not owed())

    run(work, started_again)
    assert ["I was stopped, and cannot tell whether it was begun."] == telegram.lines(7)[-1:]
    assert [] == work.emulator.submits


def test_repeated_update_is_drawn_once(run, telegram):
    """A crash leaves an update unconfirmed; the picture is followed and not started again."""
    work = ManualEmulator()
    updates = []

    async def stopped_early() -> None:
        updates.append(telegram.people_say(7, "/draw a lighthouse"))
        await until(lambda: telegram.lines(7)[-1:] == ["processing"])

    run(work, stopped_early)

    async def started_again() -> None:
        telegram.updates.extend(updates)
        telegram.people_say(8, "/draw a harbour")
        await until(lambda: telegram.lines(8)[-1:] == ["processing"])
        work.end()
        await until(lambda: telegram.photos(7) and telegram.photos(8))

    run(work, started_again)
    assert 1 == telegram.lines(7).count("Queued.")
    assert ["a lighthouse", "a harbour"] == [
        each.fields["prompt"] for each in work.emulator.submits
    ]


def test_failed_generation_shows_servers_words(run, telegram):
    """The chat gets the server's words, and no picture."""
    work = ManualEmulator(failure_rate=1.0)

    async def story() -> None:
        telegram.people_say(7, "/draw a lighthouse")
        await until(lambda: telegram.lines(7)[-1:] == ["processing"])
        work.end()
        await until(lambda: telegram.lines(7)[-1].startswith("It failed. "))

    run(work, story)
    assert len("It failed. ") < len(telegram.lines(7)[-1])
    assert [] == telegram.photos(7)
    assert [] == owed()


def test_wrong_key_is_logged(run, telegram, caplog):
    """The chat learns that the bot cannot draw, the log says why, and neither shows the key."""

    async def story() -> None:
        telegram.people_say(7, "/draw a lighthouse")
        await until(lambda: telegram.lines(7)[-1:] == ["I cannot draw now. Ask me later."])

    run(ManualEmulator(), story, key="a-wrong-key")
    assert "key" in caplog.text
    assert "a-wrong-key" not in caplog.text + "".join(telegram.lines(7))


def test_picture_that_telegram_cannot_load_is_sent_as_link(run, telegram):
    """The result is not lost because a chat cannot show it."""
    work = ManualEmulator(duration=(0.0, 0.0))
    telegram.refuses["sendPhoto"] = (400, "Bad Request: failed to get HTTP URL content")

    async def story() -> None:
        telegram.people_say(7, "/draw a lighthouse")
        await until(lambda: "Done." in telegram.lines(7))

    run(work, story)
    assert ["Queued.", "Done."] == telegram.lines(7)[:2]
    assert telegram.lines(7)[2].startswith("http://127.0.0.1:")


def test_picture_that_telegram_refuses_stays_owed(run, telegram):
    """It is sent after the next start."""
    work = ManualEmulator(duration=(0.0, 0.0))
    telegram.refuses["sendPhoto"] = (502, "Bad Gateway")

    async def story() -> None:
        telegram.people_say(7, "/draw a lighthouse")
        await until(lambda: "sendPhoto" in telegram.calls)

    run(work, story)
    assert 1 == len(owed())
    telegram.refuses.clear()

    async def started_again() -> None:
        await until(lambda: telegram.photos(7))
        await until(lambda: not owed())

    run(work, started_again)
    assert 1 == len(work.emulator.submits)


@pytest.mark.parametrize("edited", [False, True])
def test_message_without_prompt_costs_nothing(run, telegram, edited):
    """A command without a prompt is answered with an example; an edited message is ignored."""
    work = ManualEmulator()

    async def story() -> None:
        telegram.people_say(7, "/draw a lighthouse" if edited else "/draw", edited=edited)
        telegram.people_say(8, "/draw")
        await until(lambda: telegram.lines(8))

    run(work, story)
    expected = [] if edited else ["Say what to draw: /draw a lighthouse"]
    assert expected == telegram.lines(7)
    assert [] == work.emulator.submits
