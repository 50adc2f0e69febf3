"""The web app of the documentation, as a visitor sees it."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from modelslab_async.emulator import Emulator, Jobs, ScriptedReply

from .conftest import KEY, PATIENCE

# Without a hint, the next poll would be due only after this many seconds.
LONG_S = 100_000
SCREENSHOT = Path(__file__).parents[2] / "docs" / "_static" / "web-app.png"
REMEMBER = """
window.lines = []
const line = document.querySelector("p")
new MutationObserver(() => window.lines.push(line.textContent)).observe(line, {childList: true})
"""
WIDTHS = "return [...document.images].map(image => image.complete ? image.naturalWidth : 0)"
FETCHED = "return fetch(arguments[0], arguments[1]).then(answer => answer.status)"


class ManualEmulator:
    """An emulator whose jobs last until a test ends them."""

    def __init__(self) -> None:
        self._now = 0.0
        jobs = Jobs(duration=(4.0, 4.0), eta=0.25)
        self.emulator = Emulator(jobs=jobs, clock=lambda: self._now)

    def end(self) -> None:
        self._now += 60


def ask(browser: Chrome, prompt: str) -> None:
    browser.find_element(By.NAME, "prompt").send_keys(prompt)
    browser.find_element(By.TAG_NAME, "button").click()


def until_shown(browser: Chrome, text: str) -> None:
    WebDriverWait(browser, PATIENCE).until(
        lambda _: text in browser.find_element(By.TAG_NAME, "p").text
    )


def until_line_is(browser: Chrome, text: str) -> None:
    WebDriverWait(browser, PATIENCE).until(
        lambda _: text == browser.find_element(By.TAG_NAME, "p").text
    )


def is_still(count: Callable[[], int], seconds: float = 4.0) -> bool:
    """Whether a number that grows every second has stopped growing."""
    before = count()
    time.sleep(seconds)
    return before == count()


def until_drawn(browser: Chrome) -> None:
    WebDriverWait(browser, PATIENCE).until(lambda _: [*filter(None, widths(browser))])


def widths(browser: Chrome) -> list[int]:
    return browser.execute_script(WIDTHS)


def test_visitor_types_prompt_and_gets_picture(browser, serve_app, pytestconfig):
    """The status line changes while the picture is made, and then the picture is there."""
    work = ManualEmulator()
    with serve_app(work.emulator) as app:
        browser.get(app.url)
        browser.execute_script(REMEMBER)
        ask(browser, "a lighthouse")
        until_line_is(browser, "processing")
        assert [] == widths(browser)
        work.end()
        until_drawn(browser)
        assert [
            "Asking ...",
            "processing, about 1 s left",
            "processing",
            "Done.",
        ] == browser.execute_script("return window.lines")
        assert ["a lighthouse"] == [each.fields["prompt"] for each in work.emulator.submits]
        if pytestconfig.getoption("--screenshots"):
            browser.set_window_size(640, 300)
            assert browser.save_screenshot(str(SCREENSHOT))


def test_immediate_result_is_shown_at_once(browser, serve_app):
    """If the service replies with the result, the app polls nothing."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)))
    with serve_app(emulator) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_drawn(browser)
        until_line_is(browser, "Done.")
        assert 0 == emulator.polls.total()


def test_key_never_reaches_browser(browser, serve_app):
    """Neither the page nor any data that it gets holds the key."""
    with serve_app(Emulator(jobs=Jobs(duration=(1.0, 1.0)))) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_drawn(browser)
        news = browser.execute_async_script(
            "const done = arguments[0], name = location.hash.slice(1);"
            "fetch('/pictures/' + name).then(answer => answer.text()).then(done)"
        )
        assert "Done." in news
        assert KEY not in news + browser.page_source + browser.current_url + app.log


def test_failed_generation_shows_servers_words(browser, serve_app):
    """The visitor reads what the service says, and sees no picture."""
    with serve_app(Emulator(jobs=Jobs(duration=(1.0, 1.0), failure_rate=1.0))) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_shown(browser, "It failed.")
        assert [] == widths(browser)


def test_wrong_key_is_logged(browser, serve_app):
    """The visitor learns that no picture can be made, and the log says why."""
    with serve_app(Emulator(keys=["another-key"])) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_shown(browser, "No pictures can be made now.")
        assert "key" in app.log.lower()
        assert KEY not in app.log


def test_reloaded_page_shows_present_state(browser, serve_app):
    """The address names the picture, so that a reload follows it again."""
    work = ManualEmulator()
    with serve_app(work.emulator) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_line_is(browser, "processing")
        browser.refresh()
        until_line_is(browser, "processing")
        work.end()
        until_drawn(browser)
        until_line_is(browser, "Done.")
        assert 1 == len(work.emulator.submits)


def test_browser_reconnects_after_crash(browser, serve_app):
    """The app is killed while a visitor waits, and the same browser asks its next process."""
    work = ManualEmulator()
    with serve_app(work.emulator) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_line_is(browser, "processing")
        app.kill()
        until_line_is(browser, "Connecting again ...")
        app.start()
        work.end()
        until_drawn(browser)
        until_line_is(browser, "Done.")


def test_leaving_visitor_ends_wait_and_not_job(browser, serve_app):
    """The ticket is not polled after that, and a visitor who comes back gets the picture."""
    work = ManualEmulator()
    polls = work.emulator.polls
    with serve_app(work.emulator) as app:
        browser.get(app.url)
        ask(browser, "a lighthouse")
        until_line_is(browser, "processing")
        browser.get("about:blank")
        WebDriverWait(browser, PATIENCE).until(lambda _: is_still(polls.total))
        work.end()
        browser.back()
        until_drawn(browser)


def test_unsigned_name_is_refused(browser, serve_app):
    """A ticket that the app did not start is refused, and the service is not asked about it."""
    emulator = Emulator()
    theirs = emulator.add_job("realtime:13443927", duration=0)
    with serve_app(emulator) as app:
        browser.get(f"{app.url}#{theirs}.{'0' * 64}")
        until_shown(browser, "There is no news of this picture.")
        assert 404 == browser.execute_script(FETCHED, f"/pictures/{theirs}", {})
        assert 0 == emulator.polls[theirs]


def test_visitor_chooses_only_prompt(browser, serve_app):
    """Another endpoint, another parameter, an empty or endless prompt: 422, and nothing is sent."""
    emulator = Emulator()
    with serve_app(emulator) as app:
        browser.get(app.url)
        for body in (
            '{"prompt": "a lighthouse", "endpoint": "video/text2video"}',
            '{"prompt": "a lighthouse", "samples": 4}',
            '{"prompt": "  "}',
            f'{{"prompt": "{"a" * 501}"}}',
        ):
            request = {
                "method": "POST",
                "headers": {"content-type": "application/json"},
                "body": body,
            }
            assert 422 == browser.execute_script(FETCHED, "/pictures", request)
        assert [] == emulator.submits


def test_webhook_reaches_page_through_another_worker(browser, serve_app, program_of):
    """One worker submits, another one waits for the page, and a third gets the webhook."""
    emulator = Emulator(jobs=Jobs(duration=(0.001, 0.001)))
    program = program_of("how-to/web-app.md")
    slow = f"pace=Pace(floor=0.01, ceiling={LONG_S}, max_eta_wait={LONG_S})"
    program = program.replace("Client(account=account)", f"Client(account=account, {slow})")
    program = program.replace("    Outcome,\n", "    Outcome,\n    Pace,\n", 1)
    assert slow in program
    more = {"PUBLIC_URL": "https://me.example"}
    with serve_app(emulator, program=program, workers=4, more=more) as app:
        begun = httpx.post(f"{app.url}pictures", json={"prompt": "a lighthouse"}, timeout=PATIENCE)
        [submit] = emulator.submits
        id_ = submit.ticket.id
        running = b'{"status": "processing", "id": %s, "eta": %d}' % (id_.encode(), LONG_S)
        emulator.script(submit.ticket, [ScriptedReply(200, running), None])
        with app.stopped(begun.headers["x-worker"]) as submitter:
            browser.get(f"{app.url}#{begun.json()['name']}")
            until_shown(browser, "processing")
            [waiter] = {pid for pid, _, path in app.requests if path.startswith("/pictures/")}
            with app.stopped(waiter):
                hook = app.url + urlsplit(submit.fields["webhook"]).path[1:]
                news = {"status": "success", "id": id_}
                answer = httpx.post(hook, json=news, timeout=PATIENCE)
        assert 200 == answer.status_code
        assert 3 == len({submitter, waiter, answer.headers["x-worker"]})
        until_drawn(browser)
        until_line_is(browser, "Done.")
        assert 2 == emulator.polls[submit.ticket]
