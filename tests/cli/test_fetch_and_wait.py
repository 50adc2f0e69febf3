"""`fetch` and `wait`: what they print, and how they exit."""

import json

import pytest

from modelslab_async import Failed, Success, Unresolved, WaitTimeout, from_dict
from modelslab_async.emulator import ScriptedReply

from .conftest import KEY, STOP_SIGNALS, TIMEOUT_S

REPLIES = {
    "success": (0, 200, b'{"status": "success", "output": ["https://x.test/1.png"]}'),
    "processing": (0, 200, b'{"status": "processing", "eta": 5}'),
    "failed": (1, 200, b'{"status": "failed", "message": "Failed, Try Again"}'),
    "refused_request": (2, 404, b'{"error": "no such route"}'),
    "wrong_key": (3, 401, b'{"status": "error", "message": "Invalid API key"}'),
    "not_allowed": (3, 403, b'{"status": "error", "message": "not for you"}'),
    "limited": (4, 429, b'{"status": "error", "message": "slow down", "retry_after": 30}'),
    "not_found": (5, 200, b'{"status": "failed", "message": "Request not found"}'),
    "no_credits": (6, 402, b'{"status": "error", "message": "no credits"}'),
    "server_error": (10, 500, b'{"message": "Server Error"}'),
    "no_json": (10, 200, b"<html>sorry</html>"),
    "redirect": (10, 302, b""),
}


def scripted(emulator, name, *, family="images"):
    _code, status_code, body = REPLIES[name]
    ticket = f"{family}:{name}"
    emulator.script(ticket, [ScriptedReply(status_code, body)])
    return ticket


def records(run):
    return [from_dict(json.loads(line)) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("name", REPLIES)
def test_each_reply_has_its_exit_code(program, emulator, name):
    """A poll prints either a record or one line of advice, and nothing else."""
    run = program("fetch", scripted(emulator, name))
    assert REPLIES[name][0] == run.returncode
    has_record = name in ("success", "processing", "failed", "not_found")
    assert has_record == (len(records(run)) == 1)
    assert int(not has_record) == run.stderr.count("\n")


def test_rate_limited_poll_says_when_to_retry(program, emulator):
    """The message names the seconds that the server asked for."""
    assert "ask again in 30 s" in program("fetch", scripted(emulator, "limited")).stderr


def test_server_error_names_its_status_and_blames_no_network(program, emulator):
    """The fault is at the service, so the advice does not send the user to the base URL."""
    message = program("fetch", scripted(emulator, "server_error")).stderr
    assert "images:server_error: the server answered 500: Server Error; the fault is" in message
    assert "ask again later" in message
    assert "base URL" not in message


def test_refused_connection_is_a_network_error(program):
    """A refused connection gives the exit code of the network and one line."""
    run = program("fetch", "images:1", "--base-url", "http://127.0.0.1:9/api")
    assert (10, 1) == (run.returncode, run.stderr.count("\n"))
    assert "check the network" in run.stderr


@pytest.mark.parametrize("command", ["fetch", "wait"])
def test_unusable_proxy_is_reported_with_advice(program, command):
    """An unusable proxy of the environment is reported in one line that says what to do."""
    run = program(command, "images:1", NO_PROXY=None, ALL_PROXY="foo://user:sekret@127.0.0.1:1")
    assert (10, 1) == (run.returncode, run.stderr.count("\n"))
    assert "ALL_PROXY names for this server has the scheme 'foo'" in run.stderr
    assert "NO_PROXY" in run.stderr
    assert "this is a bug" not in run.stderr
    assert "sekret" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("fetch", "images"), "family:id"),
        (("fetch", "images:a//b"), "empty part"),
        (("fetch", "workflows:1"), "2 part(s)"),
        (("wait", "images:1", "vidio:1"), "did you mean 'video'"),
        (("wait", "images:1", "--timeout", "-1"), "--timeout"),
        (("wait", "images:1", "--timeout", "nan"), "--timeout"),
        (("fetch", "images:1", "--base-url", "modelslab"), "base_url"),
        (("fetch", "images:1", "--api-key", "k"), "--api-key"),
        (("wait",), "TICKET"),
        (("unknown",), "unknown"),
    ],
)
def test_malformed_arguments_send_nothing(program, emulator, arguments, hint):
    """Malformed arguments are reported in one line with a hint, and nothing is sent."""
    before = emulator.request_count
    run = program(*arguments)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert hint in run.stderr
    assert before == emulator.request_count


@pytest.mark.parametrize(
    ("environment", "ticket"),
    [
        ({"MODELSLAB_API_KEY": None}, "images:1"),
        ({"MODELSLAB_API_KEY": None, "MODELSLAB_ENTERPRISE_API_KEY": KEY}, "images:1"),
        ({"MODELSLAB_API_KEY": f"{KEY} pasted"}, "images:1"),
    ],
    ids=["none", "only the other one", "garbled"],
)
@pytest.mark.parametrize("command", ["fetch", "wait"])
def test_missing_key_sends_nothing(program, command, environment, ticket):
    """Without a key for the family nothing is sent, and the message never contains a key."""
    run = program(command, ticket, **environment)
    assert (3, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert KEY not in run.stderr


def test_key_is_never_printed(program, emulator):
    """The key is not printed, even if the server echoes it and `--debug` shows a traceback."""
    emulator.script("images:echo", [ScriptedReply(401, json.dumps({"message": KEY}).encode())])
    run = program("fetch", "images:echo", "--debug")
    assert 3 == run.returncode
    assert "Traceback" in run.stderr
    assert KEY not in run.stdout + run.stderr


def test_wait_prints_each_outcome_once(program, emulator):
    """Each outcome is a line of JSON, also for a ticket that is given twice."""
    good = [str(emulator.add_job(("video", n), fails=False)) for n in range(3)]
    bad = str(emulator.add_job(("video", 3), fails=True))
    run = program("wait", *good, bad, good[0])
    assert 1 == run.returncode
    assert {*good, bad} == {str(each.ticket) for each in records(run)}
    assert [Failed] == [type(each) for each in records(run) if not isinstance(each, Success)]


def test_exit_code_is_the_worst_of_all_tickets(program, emulator):
    """A refusal that leaves a ticket open is worse than a failed job, and one line reports it."""
    refused = scripted(emulator, "not_allowed", family="voice")
    failed = str(emulator.add_job("video:10", fails=True))
    run = program("wait", refused, failed)
    assert (3, 1) == (run.returncode, run.stderr.count("\n"))
    assert {Unresolved, Failed} == {type(each) for each in records(run)}


def test_wait_reads_tickets_from_standard_input(program, emulator):
    """A bad line of standard input is reported by its number and does not affect the others."""
    tickets = [str(emulator.add_job(("interior", n), fails=False)) for n in range(3)]
    run = program("wait", "-", given="\r\n".join([tickets[0], "", "nonsense", *tickets[1:]]))
    assert (2, 1) == (run.returncode, run.stderr.count("\n"))
    assert "line 3" in run.stderr
    assert set(tickets) == {str(each.ticket) for each in records(run)}


def test_fetch_reads_ticket_from_standard_input(program, emulator):
    """`fetch -` reads a ticket from standard input."""
    ticket = scripted(emulator, "success")
    assert ticket == str(records(program("fetch", "-", given=f"{ticket}\n"))[0].ticket)


def test_ticket_after_timeout_is_unresolved(program, emulator):
    """A ticket that does not end within the timeout is unresolved."""
    run = program("wait", scripted(emulator, "processing"), "--timeout", "0.2")
    assert (7, 1) == (run.returncode, run.stderr.count("\n"))
    assert isinstance(records(run)[0].cause, WaitTimeout)


def test_timeout_zero_gives_up_at_once(program, emulator):
    """With `--timeout 0` the ticket is unresolved at once, as in the library."""
    run = program("wait", scripted(emulator, "processing"), "--timeout", "0")
    assert 7 == run.returncode
    assert isinstance(records(run)[0].cause, WaitTimeout)


def test_advice_follows_message_with_full_stop(program, emulator):
    """The full stop of a server's message is dropped before the advice."""
    emulator.script(
        "images:stop", [ScriptedReply(404, b'{"error": "The route x could not be found."}')]
    )
    message = program("fetch", "images:stop").stderr
    assert "could not be found; check the ticket" in message


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_interrupted_wait_says_how_to_resume(program, emulator, stop):
    """An interrupted wait has printed the known outcomes, and prints one line."""
    good = str(emulator.add_job("three_d:1", fails=False))
    with program.start("wait", good, scripted(emulator, "processing")) as process:
        first = process.stdout.readline()
        process.send_signal(stop)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert good == json.loads(first)["ticket"]
    assert (128 + stop, 1) == (process.returncode, messages.count("\n"))
    assert "interrupted after 1 ended" in messages


def test_outcomes_are_printed_at_once(program, emulator):
    """A pipe gets each outcome at once, while other tickets are still open."""
    ticket = str(emulator.add_job("three_d:2", fails=False))
    with program.start("wait", ticket, scripted(emulator, "processing")) as process:
        assert ticket in process.stdout.readline()
        assert process.poll() is None
        process.kill()


def test_closed_output_pipe_ends_program_silently(program, emulator):
    """If its output pipe is closed, the program ends without a message."""
    emulator.script("three_d:3", [ScriptedReply(200, b'{"status": "processing"}')])
    with program.start("wait", "three_d:3") as process:
        process.stdout.close()
        emulator.script("three_d:3", [ScriptedReply(*REPLIES["success"][1:])])
        assert "" == process.stderr.read()
    assert 141 == process.returncode


def test_terminal_shows_outcomes_as_text(program, emulator):
    """A terminal shows each outcome as text, with links that are not broken."""
    link = f"https://x.test/{'long' * 60}.png"
    emulator.add_job("images:61", fails=False, output=[link, "https://x.test/2.png"])
    emulator.add_job("images:62", fails=True)
    code, shown = program.on_terminal("wait", "images:61", "images:62")
    assert 1 == code
    assert link in shown
    assert "failed" in shown
    assert "Failed, Try Again" in shown


def test_terminal_shows_state_of_running_job(program, emulator):
    """A terminal shows the state of a running job and the server's estimate."""
    code, shown = program.on_terminal("fetch", scripted(emulator, "processing"))
    assert 0 == code
    assert "about 5 s to go" in shown


def test_terminal_gets_no_control_characters_of_server(program, emulator):
    """Escape sequences and markup in a server's message are shown as text."""
    message = "\x1b]0;owned\x07\r[red]markup[/red]\u202e :smile:" + "x" * 5000
    body = json.dumps({"status": "failed", "message": message}).encode()
    emulator.script("images:evil", [ScriptedReply(200, body)])
    emulator.script("images:rude", [ScriptedReply(500, body.replace(b"failed", b"what"))])
    _, shown = program.on_terminal("fetch", "images:evil")
    _, error = program.on_terminal("fetch", "images:rude")
    _, traced = program.on_terminal("fetch", "images:rude", "--debug")
    assert "Traceback" in traced
    assert "\x1b]0" not in traced
    for text in (shown, error):
        assert "\x1b]0" not in text
        assert "\u202e" not in text
        assert r"\x1b]0;owned\x07\r[red]markup[/red]\u202e :smile:" in text
        assert len(text) < 3000
