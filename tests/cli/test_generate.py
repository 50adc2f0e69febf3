"""`generate`: from the parameters of an endpoint to files, in one command."""

import asyncio
import base64
import json
import shlex
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from everyday import pairs
from starlette.responses import JSONResponse

from modelslab_async import ENDPOINTS, InvalidRequest
from modelslab_async._cli.exit_codes_and_advice import explain_unsubmitted
from modelslab_async._cli.generate import generate
from modelslab_async.emulator import Emulator, Jobs, run_server

from .conftest import KEY, STOP_SIGNALS, TIMEOUT_S, Program

TEXT2IMG = "realtime/text2img"
RUNNING = Jobs(duration=(60.0, 60.0))


@pytest.fixture
def command(program, emulator, tmp_path):
    """`generate` with its files in a folder, and the submits that the emulator got from it."""
    before = len(emulator.submits)

    def run(*arguments, **environment):
        folder = str(tmp_path / "out")
        return program("generate", *arguments, "--out", folder, "--allow-private", **environment)

    run.folder = tmp_path / "out"
    run.submits = lambda: emulator.submits[before:]
    return run


# Says when a signal has cancelled the run, so that the client closes.
_SAYS_THAT_IT_CLOSES = """
import os
from modelslab_async import Client

async def aclose(self, close=Client.aclose):
    os.write(2, b"the client closes\\n")
    await close(self)

Client.aclose = aclose
"""


@pytest.fixture
def on_server(serving, forked, tmp_path):
    """The program against an emulator of the test's own, and the arguments of `generate`."""

    def start(emulator, **environment):
        context = serving(emulator)
        contexts.append(context)
        program = Program(context.__enter__(), forked)
        program.environment |= environment
        return program

    contexts = []
    start.arguments = (
        *("generate", TEXT2IMG, "--prompt", "a lighthouse"),
        *("--out", str(tmp_path / "out"), "--allow-private"),
    )
    yield start
    for context in contexts:
        context.__exit__(None, None, None)


class HeldSubmits(Emulator):
    """An emulator that answers submits once the test lets it."""

    def __init__(self, **settings) -> None:
        super().__init__(**settings)
        self._has_submit = threading.Event()
        self._is_released = threading.Event()

    def wait_for_submit(self):
        assert self._has_submit.wait(timeout=TIMEOUT_S)

    def release(self):
        self._is_released.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and "fetch" not in scope["path"]:
            self._has_submit.set()
            while not self._is_released.is_set():  # noqa: ASYNC110 -- another thread sets it.
                await asyncio.sleep(0.01)
        await super().__call__(scope, receive, send)


class BrokenSubmits(Emulator):
    """An emulator that starts the work of a submit and answers with a status 500."""

    async def __call__(self, scope, receive, send):
        async def send_status_500(message):
            if message["type"] == "http.response.start":
                message = {**message, "status": 500}
            await send(message)

        await super().__call__(scope, receive, send_status_500)


class ImmediateResults(Emulator):
    """A server that answers each submit with the same success, and holds back every file."""

    def __init__(self, *output, **fields) -> None:
        super().__init__()
        self._fields = fields
        self._has_download = threading.Event()
        self.answer_with(*output)

    def answer_with(self, *output):
        self._reply = JSONResponse({"status": "success", "output": output, **self._fields})

    def wait_for_download(self):
        assert self._has_download.wait(timeout=TIMEOUT_S)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["method"] == "GET":
            self._has_download.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await self._reply(scope, receive, send)


def resume_command(message):
    """The words of the command that a message tells the user to run."""
    words = shlex.split(message.rpartition("with: ")[2])
    assert "modelslab-async" == words[0]
    return words[1:]


def test_offline_submit_is_reported_and_sent_once_the_server_is_back(tmp_path):
    """The command says why nothing happens and when it tries again, and then does its work."""
    # The server takes the port over from this socket, so that no other process can take it before.
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)))
    arguments = ("--prompt", "a lighthouse", "--out", str(tmp_path), "--allow-private")
    offline = Program(f"http://127.0.0.1:{port}/api")
    with held, offline.start("generate", TEXT2IMG, *arguments) as process:
        warning = process.stderr.readline()
        assert "modelslab-async: realtime/text2img cannot be sent: " in warning
        assert "nothing was paid; the next try is in " in warning
        assert "check the network, the base URL and the proxy" in warning
        assert KEY not in warning

        async def serve() -> None:
            async with run_server(emulator, port=port):
                await asyncio.to_thread(process.wait, TIMEOUT_S)

        asyncio.run(serve())
        assert 0 == process.returncode
        assert 1 == len(process.stdout.readlines())
    assert 1 == len(emulator.submits)


def test_timeout_bounds_submit_that_cannot_be_sent(tmp_path, leap_at_first_warning):
    """Offline, `--timeout` also ends the submits; nothing was paid, and the exit code is 10."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        offline = Program(f"http://127.0.0.1:{held.getsockname()[1]}/api")
        run = offline(
            *("generate", TEXT2IMG, "--prompt", "x", "--out", str(tmp_path), "--timeout", "20"),
            PYTHONPATH=leap_at_first_warning(20.0),
        )
    assert (10, "") == (run.returncode, run.stdout)
    assert "not started within 20 s: it could not be sent" in run.stderr
    assert "nothing was paid" in run.stderr


def test_generate_saves_files_and_prints_paths(command):
    """One command submits once, saves the file and prints its path; messages name the ticket."""
    run = command(TEXT2IMG, "--prompt", "a lighthouse", "--width", "512")

    (submit,) = command.submits()
    assert ("a lighthouse", 512) == (submit.fields["prompt"], submit.fields["width"])
    (path,) = map(Path, run.stdout.splitlines())
    assert [path] == list(command.folder.iterdir())
    assert path.stat().st_size > 0
    assert (0, f"modelslab-async: started {submit.ticket}\n") == (run.returncode, run.stderr)


def test_generate_waits_for_running_job(on_server):
    """A job that is still running after the submit is polled to its end."""
    emulator = Emulator(jobs=Jobs(duration=(0.5, 0.5)))
    run = on_server(emulator)(*on_server.arguments)
    assert 0 == run.returncode
    assert Path(run.stdout.strip()).is_file()
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (("--guidance-scale", "7.5"), "guidance_scale", 7.5),
        (("--guidance_scale", "7.5"), "guidance_scale", 7.5),
        (("--safety-checker", "false"), "safety_checker", False),
        (("--safety-checker", "yes"), "safety_checker", "yes"),
        (("--seed", "null"), "seed", "null"),
        (("--seed", "NaN"), "seed", "NaN"),
        (("--seed", "1e999"), "seed", "1e999"),
        (("--seed", '"42"'), "seed", "42"),
        (("--negative-prompt", "1984"), "negative_prompt", "1984"),
        (("--track-id", "007"), "track_id", "007"),
        (("-p", "brand_new=3"), "brand_new", 3),
        (("-p", 'brand_new={"a": [1]}'), "brand_new", {"a": [1]}),
        (("-p", "brand_new=a=b"), "brand_new", "a=b"),
        (("-p", "width=640"), "width", 640),
        (("-p", "loras=a", "-p", "loras=b"), "loras", ["a", "b"]),
    ],
)
def test_text_becomes_value_of_parameter(command, arguments, name, value):
    """JSON values are sent as such; texts stay texts, and so do all values of prompts."""
    run = command(TEXT2IMG, "--prompt", "3", *arguments)
    (submit,) = command.submits()
    assert (0, "3") == (run.returncode, submit.fields["prompt"])
    assert (value, type(value)) == (submit.fields[name], type(submit.fields[name]))


def test_path_of_file_parameter_is_uploaded(command, tmp_path):
    """A path becomes the link of the uploaded file."""
    (tmp_path / "boat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    path = str(tmp_path / "boat.png")
    run = command("realtime/img2img", "--prompt", "a boat", "--init-image", path)
    assert 0 == run.returncode
    (submit,) = (each for each in command.submits() if each.endpoint == "realtime/img2img")
    assert submit.fields["init_image"].startswith("http")


def test_unusable_file_starts_nothing(command, tmp_path):
    """A file that cannot be uploaded is explained, and nothing is submitted."""
    (tmp_path / "empty.png").touch()
    path = str(tmp_path / "empty.png")
    run = command("realtime/img2img", "--prompt", "a boat", "--init-image", path)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert run.stderr.endswith("init_image is an empty file; nothing was started\n")
    assert [] == command.submits()


def test_link_of_file_parameter_is_sent_as_it_is(command):
    """A link is not looked for among the files."""
    link = "https://x.test/boat.png"
    assert 0 == command("realtime/img2img", "--prompt", "x", "--init-image", link).returncode
    assert link == command.submits()[0].fields["init_image"]


def test_value_of_unknown_workflow_parameter_may_be_a_file_or_not(command, tmp_path):
    """A workflow names its parameters itself: the path of a file is uploaded, a number is not."""
    (tmp_path / "boat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    picture = f"boat={tmp_path / 'boat.png'}"
    command("workflows/run", "--workflow-id", "a-flow", "-p", picture, "-p", "depth=3")
    (submit,) = (each for each in command.submits() if each.endpoint == "workflows/run")
    assert submit.fields["boat"].startswith("http")
    assert 3 == submit.fields["depth"]


def test_each_prompt_starts_a_generation(command):
    """`--json` prints a line for each prompt, with its parameters, its track_id and its files."""
    prompts = ("--prompt", "a boat", "--prompt", "a lighthouse")
    run = command(TEXT2IMG, *prompts, "--width", "512", "--most", "2", "--json")

    records = [json.loads(line) for line in run.stdout.splitlines()]
    assert {"a boat", "a lighthouse"} == {each["parameters"]["prompt"] for each in records}
    track_ids = {str(submit.ticket): submit.fields["track_id"] for submit in command.submits()}
    assert 2 == len(track_ids)
    for record in records:
        assert ("success", TEXT2IMG, None) == tuple(
            record[name] for name in ("kind", "endpoint", "save_error")
        )
        assert str(track_ids[record["ticket"]]) == record["track_id"]
        assert Path(record["files"][0]["path"]).is_file()


@pytest.mark.parametrize("most", ["0", "1"])
def test_more_generations_than_most_send_nothing(command, emulator, most):
    """If the command would start more than `--most` allows, it starts nothing."""
    before = emulator.request_count
    run = command(TEXT2IMG, "--prompt", "a", "--prompt", "b", "--most", most)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert f"2 generations, and --most allows {most}" in run.stderr
    assert before == emulator.request_count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'ENDPOINT'"),
        (("text2img", "--prompt", "x"), "did you mean 'images/text2img'"),
        ((TEXT2IMG,), "needs prompt"),
        ((TEXT2IMG, "--prompt", "x", "--widht", "1"), "--width"),
        ((TEXT2IMG, "--prompt", "x", "-p", "widht=1"), "misspelling"),
        ((TEXT2IMG, "--prompt", "x", "-p", "width"), "width=512"),
        ((TEXT2IMG, "--prompt", "x", "-p", "=1"), "width=512"),
        ((TEXT2IMG, "--prompt", "x", "--webhook", "me.example"), "'https://me.example/hooks'"),
        (("general/wallet_balance",), "answers at once"),
        (("realtime/img2img", "--prompt", "x", "--init-image", "no.png"), "no file 'no.png'"),
        (("realtime/img2img", "--prompt", "x", "--init-image", "x" * 9999), "takes a file"),
    ],
)
def test_malformed_request_sends_nothing(command, emulator, arguments, message):
    """A request that does not fit is reported in one line before anything is sent."""
    before = emulator.request_count
    run = command(*arguments)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert message in run.stderr
    assert (before, False) == (emulator.request_count, command.folder.exists())


def test_unknown_option_names_the_way_to_send_it(command):
    """For a parameter that the endpoint does not list, the message has `-p` and its help."""
    run = command(TEXT2IMG, "--prompt", "x", "--output-format", "png")
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert "-p output_format=VALUE" in run.stderr
    assert f"`modelslab-async generate {TEXT2IMG} --help`" in run.stderr
    run = command(TEXT2IMG, "--prompt", "x", "-p", "output_format=png")
    assert (0, ".png") == (run.returncode, Path(run.stdout.strip()).suffix)


def test_key_among_parameters_is_refused_and_not_repeated(command):
    """The key is no parameter, and the message does not contain what was given for it."""
    run = command(TEXT2IMG, "--prompt", "x", "-p", "key=a-secret")
    assert 2 == run.returncode
    assert "a-secret" not in run.stderr


@pytest.mark.parametrize("enterprise_key", [None, "only-this"])
def test_missing_key_sends_nothing(command, enterprise_key):
    """Without a key for the endpoint nothing is sent, and the message names the variable."""
    keys = {"MODELSLAB_API_KEY": None, "MODELSLAB_ENTERPRISE_API_KEY": enterprise_key}
    run = command(TEXT2IMG, "--prompt", "x", **keys)
    assert (3, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert "set MODELSLAB_API_KEY" in run.stderr


def test_refused_submit_is_explained(on_server):
    """A refusal has its exit code, and one line says what to do."""
    program = on_server(Emulator(keys_without_credits={"a-secret-key-for-the-command-line"}))
    run = program(*on_server.arguments)
    assert (6, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert "add credits" in run.stderr


def test_refused_key_is_explained_once(on_server):
    """A key that the server refuses ends all prompts, with one line and one submit."""
    emulator = Emulator(keys={"another-key"})
    run = on_server(emulator)(*on_server.arguments, *("--prompt", "b", "--prompt", "c"), "--json")
    assert (3, 1) == (run.returncode, run.stderr.count("\n"))
    assert 3 == len(run.stdout.splitlines())
    assert {json.loads(line)["error"] for line in run.stdout.splitlines()} == {
        "AuthenticationError"
    }


def test_request_that_the_server_refuses_points_to_the_parameters(on_server):
    """For a request that the server does not accept, the message says where its parameters are."""
    program = on_server(Emulator(endpoints={}))
    run = program(*on_server.arguments)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert f"`modelslab-async endpoints {TEXT2IMG}` lists the parameters" in run.stderr


@pytest.mark.parametrize(
    "message", ["NSFW content detected in the prompt.", "The prompt has banned words"]
)
def test_refused_content_points_to_the_prompt(message):
    """A list of the parameters would not help."""
    error = InvalidRequest(message, server_message=message)
    explained = explain_unsubmitted(error, TEXT2IMG)
    assert explained.endswith("; change the prompt or the file that the service refuses")


def test_uncertain_submit_is_sent_once_and_reported(on_server):
    """After a broken reply nothing is sent again, and no message advises it."""
    emulator = BrokenSubmits(jobs=RUNNING)
    run = on_server(emulator)(*on_server.arguments, "--json")
    assert (9, 1) == (run.returncode, run.stderr.count("\n"))
    (submit,) = emulator.submits
    record = json.loads(run.stdout)
    assert ("unsubmitted", "SubmitUncertain", True, str(submit.fields["track_id"])) == tuple(
        record[name] for name in ("kind", "error", "may_be_started", "track_id")
    )
    assert "before you submit, and pay, again" in run.stderr
    assert "ask again" not in run.stderr


def test_failed_generation_is_explained(on_server):
    """A job that fails prints no path; the server's message is on standard error."""
    program = on_server(Emulator(jobs=Jobs(duration=(0.2, 0.2), failure_rate=1.0)))
    run = program(*on_server.arguments)
    assert (1, "") == (run.returncode, run.stdout)
    assert "Failed, Try Again" in run.stderr
    assert "download" not in run.stderr


def test_timeout_says_how_to_get_the_files_later(on_server, tmp_path):
    """A generation that does not end in time is not lost: a command gets its files later."""
    emulator = Emulator(jobs=Jobs(duration=(1.5, 1.5)))
    program = on_server(emulator)
    run = program(*on_server.arguments, "--timeout", "0")
    assert (7, "") == (run.returncode, run.stdout)

    later = program(*resume_command(run.stderr))

    assert (0, 1) == (later.returncode, len(emulator.submits))
    assert [Path(later.stdout.strip())] == list((tmp_path / "out").iterdir())


def test_unsaved_files_say_how_to_get_them_later(program, tmp_path):
    """A file that cannot be saved has its own exit code; a command tries it again."""
    out = str(tmp_path / "my pictures")
    run = program("generate", TEXT2IMG, "--prompt", "a", "--out", out)
    assert (8, "") == (run.returncode, run.stdout)
    assert "allow it with --allow-private" in run.stderr

    later = program(*resume_command(run.stderr))

    assert 0 == later.returncode
    assert Path(out) == Path(later.stdout.strip()).parent


# Such a link has a signature. It is longer than any message.
PRIVATE_LINK = f"http://127.0.0.1/1.png?signature={'x' * 3000}"
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 100).decode()


def test_unsaved_links_of_result_without_id_are_printed(on_server):
    """No command can get such files later, so the user gets each link that was not saved, whole."""
    program = on_server(ImmediateResults(PICTURE, PRIVATE_LINK))
    run = program(*on_server.arguments[:-1])
    assert 8 == run.returncode
    assert Path(run.stdout.strip()).is_file()
    *_, announcement, link = run.stderr.splitlines()
    assert "allow it with --allow-private" in run.stderr
    assert "realtime:no-id:" in announcement
    assert "the service gives this result only once" in announcement
    assert PRIVATE_LINK == link
    assert PICTURE not in run.stderr


def test_record_has_the_links_of_unsaved_result_without_id(on_server):
    """With `--json` the links are in the record, and only there."""
    program = on_server(ImmediateResults(PRIVATE_LINK))
    run = program(*on_server.arguments[:-1], "--json")
    assert (8, 1) == (run.returncode, run.stderr.count("\n"))
    assert [PRIVATE_LINK] == json.loads(run.stdout)["output"]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_interrupted_save_prints_the_links_of_result_without_id(on_server, as_json):
    """A signal during the download of such a result ends the command, and its link is printed."""
    emulator = ImmediateResults()
    program = on_server(emulator)
    link = program.environment["MODELSLAB_BASE_URL"] + "/1.png"
    emulator.answer_with(link)
    with program.start(*on_server.arguments, *as_json) as process:
        emulator.wait_for_download()
        process.send_signal(signal.SIGINT)
        printed, messages = process.communicate(timeout=TIMEOUT_S)
    assert (130, "") == (process.returncode, printed)
    announcement, printed_link, last = messages.splitlines()
    assert "the service gives this result only once" in announcement
    assert link == printed_link
    assert "interrupted after 1 of 1 were started" in last


def test_resume_command_names_the_hosts(on_server):
    """A base URL that was given as an option is part of the command for later."""
    program = on_server(Emulator(jobs=RUNNING))
    hosts = ("--base-url", program.environment["MODELSLAB_BASE_URL"])
    hosts += ("--legacy-base-url", program.environment["MODELSLAB_LEGACY_BASE_URL"])
    run = program(*on_server.arguments, "--timeout", "0", *hosts)
    assert set(hosts) <= set(resume_command(run.stderr))


def test_resume_command_has_the_options_that_were_given(on_server):
    """Without them, it might not save what the first command would have saved."""
    program = on_server(Emulator(jobs=RUNNING))
    given = ("--max-bytes", "5000000000", "--link-timeout", "0.0")
    run = program(*on_server.arguments, "--timeout", "0", *given)
    command = resume_command(run.stderr)
    assert [*given, "--allow-private"] == sorted(
        command[-5:], key=[*given, "--allow-private"].index
    )
    assert "--concurrency" not in command


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_interrupted_wait_says_how_to_get_the_files_later(on_server, stop):
    """A signal ends the wait; the last line has the command that goes on with the ticket."""
    emulator = Emulator(jobs=RUNNING)
    program = on_server(emulator)
    with program.start(*on_server.arguments) as process:
        assert "started" in process.stderr.readline()
        process.send_signal(stop)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 128 + stop == process.returncode
    assert "interrupted after 1 of 1 were started" in messages.splitlines()[-1]
    assert str(emulator.submits[0].ticket) in resume_command(messages)


@pytest.fixture
def interrupted_submit(on_server, with_site):
    """
    A function that starts the program, and interrupts it during its first submit.

    It yields the program and the emulator that holds the reply.
    """

    @contextmanager
    def interrupt(stop, site=""):
        emulator = HeldSubmits(jobs=RUNNING)
        program = on_server(emulator, PYTHONPATH=with_site(site + _SAYS_THAT_IT_CLOSES))
        with program.start(*on_server.arguments) as process:
            emulator.wait_for_submit()
            process.send_signal(stop)
            assert "the client closes\n" == process.stderr.readline()
            yield process, emulator
            process.kill()

    return interrupt


@pytest.mark.parametrize(
    ("stop", "site"),
    [
        (signal.SIGINT, ""),
        (signal.SIGTERM, ""),
        (signal.SIGTERM, 'import sys\nsys.modules["uvloop"] = None\n'),
    ],
)
def test_interrupted_submit_is_awaited_and_its_ticket_named(interrupted_submit, stop, site):
    """A signal while a submit is in flight waits for its reply, so that the ticket is known."""
    with interrupted_submit(stop, site) as (process, emulator):
        emulator.release()
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 128 + stop == process.returncode
    assert "interrupted after 1 of 1 were started" in messages
    assert str(emulator.submits[0].ticket) in resume_command(messages)
    assert "pay again" not in messages


@pytest.mark.parametrize(("first", "second"), pairs(STOP_SIGNALS, STOP_SIGNALS))
def test_second_interrupt_during_submit_warns_of_the_work(interrupted_submit, first, second):
    """The second signal ends the program at once; it says that work may have been started."""
    with interrupted_submit(first) as (process, _):
        process.send_signal(second)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 128 + first == process.returncode
    assert "interrupted after 0 of 1 were started" in messages
    assert "look for it in your account before you pay again" in messages


def test_terminal_shows_progress_and_path(on_server, tmp_path):
    """A terminal shows the state of the running job, and the path at the end."""
    now = 0.0
    emulator = Emulator(jobs=Jobs(duration=(3.0, 3.0), eta="none"), clock=lambda: now)
    program = on_server(emulator)
    with program.start_on_terminal(*on_server.arguments) as (process, terminal):
        terminal.wait_for("1 of 1 started, 0 ended; realtime:")
        now = 60.0
        shown = terminal.read_all()
    assert 0 == process.returncode
    assert f"0 ended; {emulator.submits[0].ticket}: processing" in shown
    (path,) = (tmp_path / "out").iterdir()
    assert str(path) in shown


@pytest.mark.parametrize("fields", [{"id": 7}, {}])
def test_generation_without_outputs_is_reported(on_server, fields):
    """A generation that has no outputs prints no path and a message, even if it has no id."""
    run = on_server(ImmediateResults(**fields))(*on_server.arguments)
    assert (0, "") == (run.returncode, run.stdout)
    assert "no outputs to save" in run.stderr


def test_folder_that_cannot_be_written_is_refused_before_the_submit(program, command):
    """The message names the folder, and gives no command line with it for later."""
    command.folder.write_text("a file where the folder should be")
    folder = str(command.folder / "x")

    run = program("generate", TEXT2IMG, "--prompt", "a cat", "--out", folder)

    assert (2, []) == (run.returncode, command.submits())
    assert f"no file can be saved in {folder}: Not a directory" in run.stderr
    assert "get the files later" not in run.stderr


def test_help_lists_the_parameters_of_the_endpoint(program):
    """The help names each parameter, which ones are required, and which ones take a file."""
    text = program("generate", "realtime/img2img", "--help").stdout
    parameters, _, own = text.partition("\nOptions:")
    for name in ENDPOINTS["realtime/img2img"].parameters:
        assert f"--{name.replace('_', '-')}" in parameters
    assert "--init-image FILE" in parameters
    assert "A path or a link. [required]" in parameters
    assert "--most" in own
    assert "[init_audio or audio_url is required]" in " ".join(
        program("generate", "voice/speech_to_text", "--help").stdout.split()
    )


def test_every_parameter_of_every_endpoint_is_an_option():
    """No parameter of any endpoint has the name of one of the command's own options."""
    for endpoint in ENDPOINTS.values():
        context = click.Context(generate, resilient_parsing=True)
        generate.parse_args(context, [endpoint.name])
        flags = {flag for each in generate.get_params(context) for flag in each.opts}
        assert {f"--{name.replace('_', '-')}" for name in endpoint.parameters} <= flags


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("generate realtime/te", "plain,realtime/text2img"),
        ("endpoints realtime/te", "plain,realtime/text2img"),
        ("generate realtime/text2img --neg", "plain,--negative-prompt"),
        ("generate no/such --mo", "plain,--most"),
    ],
)
def test_shell_completes_endpoints_and_parameters(program, words, offered):
    """A shell can complete endpoints, and the parameters of the endpoint that is given."""
    run = program(
        _MODELSLAB_ASYNC_COMPLETE="bash_complete",
        COMP_WORDS=f"modelslab-async {words}",
        COMP_CWORD=str(len(words.split())),
    )
    assert offered in run.stdout.splitlines()
