"""`emulate`: an emulator for other programs."""

import json
import re
import shlex
import signal
import socket
import subprocess
from contextlib import contextmanager

import click
import httpx
import pytest

from modelslab_async._cli.emulate import emulate

from .conftest import KEY, TIMEOUT_S


@pytest.fixture
def emulating(program):
    """The running program, and the tickets that it printed."""
    with program.start(
        "emulate", "--port", "0", "--job", "3", "--duration", "0", "--failure-rate", "0",
        "--key", KEY, "--seed", "3", "--eta", "none", "--queue-limit", "5",
        "--spam-window", "3600",
    ) as process:  # fmt: skip
        tickets = [process.stdout.readline().strip() for _ in range(3)]
        yield process, tickets
        process.kill()


def test_job_option_starts_the_named_tickets(program):
    """The tickets of `--job` are started and printed; an unknown family is refused first."""
    with program.start(
        "emulate", "--port", "0", "--job", "images:7", "--job", "2", "--job",
        "workflows:wf_1/8", "--duration", "0", "--failure-rate", "0",
    ) as process:  # fmt: skip
        tickets = [process.stdout.readline().strip() for _ in range(4)]
        lines = [process.stderr.readline() for _ in range(9)]
        url = re.search(r"export MODELSLAB_BASE_URL=(\S+)", "".join(lines))[1]
        found = program("wait", "images:7", "workflows:wf_1/8", "--base-url", url)
        process.kill()
    assert ["images:7", "workflows:wf_1/8"] == [tickets[0], tickets[3]]
    assert 0 == found.returncode
    wrong = program("emulate", "--job", "imges:7")
    assert (2, 1) == (wrong.returncode, wrong.stderr.count("\n"))
    assert "did you mean 'images'" in wrong.stderr


def test_printed_base_url_serves_other_programs(program, emulating):
    """A client can use the printed base URL and tickets, and Ctrl-C prints one line."""
    process, tickets = emulating
    lines = [process.stderr.readline() for _ in range(12)]
    url = re.search(r"export MODELSLAB_BASE_URL=(\S+)", "".join(lines))[1]
    assert 'export MODELSLAB_API_KEY="$MODELSLAB_API_KEY"' in "".join(lines)
    assert lines[8].lstrip().startswith(f"curl {url}/api/v6/")
    assert 0 == program("wait", *tickets, "--base-url", url).returncode
    wrong = program("fetch", tickets[0], "--base-url", url, MODELSLAB_API_KEY="another-key")
    assert 3 == wrong.returncode
    submit = {"key": KEY, "prompt": "a cat"}
    with httpx.Client(timeout=TIMEOUT_S) as http:
        replies = [http.post(f"{url}/v3/text2img", json=submit).json() for _ in range(2)]
        refused = http.post(f"{url}/v3/text2img", json=submit | {"key": "another-key"})
    assert 401 == refused.status_code
    assert ["success", "error"] == [reply["status"] for reply in replies]
    process.send_signal(signal.SIGINT)
    rest, messages = process.communicate(timeout=TIMEOUT_S)
    assert (130, "", 1) == (process.returncode, rest, messages.count("\n"))
    assert messages.endswith("requests; submits: 1 accepted, 2 refused\n")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (("--key", KEY), KEY),
        (("--key", "another's key"), "another's key"),
        ((), "any-key"),
    ],
    ids=repr,
)
def test_printed_lines_can_be_copied_and_show_no_key_of_the_environment(program, options, key):
    """A key of the environment stays in its variable, which the shell puts in."""
    with program.start("emulate", "--port", "0", *options) as process:
        lines = "".join(process.stderr.readline() for _ in range(15))
        process.kill()
    assert KEY not in lines
    export, submit = (
        re.search(rf"^  ({start}.*)", lines, re.MULTILINE)[1] for start in (".*_API_KEY=", "curl ")
    )
    shell = f'curl() {{ printf %s "$5"; }}; {export}; {submit}; printf "\n$MODELSLAB_API_KEY"'
    done = subprocess.run(
        ["sh", "-c", shell], env=program.environment, capture_output=True, text=True, check=True
    )
    body, exported = done.stdout.split("\n")
    assert ({"key": key, "prompt": "a cat"}, key) == (json.loads(body), exported)


def test_ticket_of_a_job_shows_no_key(program):
    """The API key was pasted in place of the id."""
    with program.start("emulate", "--port", "0", "--job", f"images:{KEY}") as process:
        ticket = process.stdout.readline()
        process.kill()
    assert "images:[key]\n" == ticket


def test_sigterm_prints_the_counts(emulating):
    """A service manager ends the emulator in order, and its log says what came."""
    process, _ = emulating
    while "--allow-private" not in process.stderr.readline().split():
        pass
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 143 == process.returncode
    expected = "modelslab-async: stopped after 0 requests; submits: 0 accepted, 0 refused\n"
    assert expected == messages


@pytest.mark.parametrize("name", ["generate", "batch submit"])
def test_printed_commands_make_a_picture(program, tmp_path, name):
    """Each printed command saves a file of the emulator, with the printed variables set."""
    with program.start(
        "emulate", "--port", "0", "--duration", "0", "--failure-rate", "0"
    ) as served:
        printed = "".join(served.stderr.readline() for _ in range(15))
        variables = dict(re.findall(r"export (\w+)=(\S+)", printed))
        command = shlex.split(re.search(rf"modelslab-async ({name} .*)", printed)[1])
        (tmp_path / "prompts.txt").write_text("a cat\n")
        run = program(*command, folder=tmp_path, **variables)
        served.kill()
    assert 0 == run.returncode, run.stderr
    assert 1 == len([*(tmp_path / "pictures").iterdir()])


@contextmanager
def emulated_service(program, *options):
    """The base URL of an emulator whose jobs run for an hour, unless they are done at once."""
    with program.start(
        "emulate", "--port", "0", "--duration", "3600", "--failure-rate", "0", *options
    ) as process:
        try:
            lines = [process.stderr.readline() for _ in range(9)]
            yield re.search(r"export MODELSLAB_BASE_URL=(\S+)", "".join(lines))[1]
        finally:
            process.kill()


def statuses(url, path, count):
    """The status of each reply to this number of submits."""
    fields = {"key": KEY, "prompt": "a cat", "model_id": "flux"}
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as http:
        return [http.post(f"/api/{path}", json=fields).json()["status"] for _ in range(count)]


@pytest.mark.parametrize("family", ["v6/realtime", "v1/enterprise/realtime"])
def test_most_realtime_submits_are_answered_at_once(program, family):
    """By default, most of them have the result in the reply; submits of other families do not."""
    with emulated_service(program) as url:
        seen = statuses(url, f"{family}/text2img", 30)
        others = statuses(url, "v6/images/text2img", 5)
    assert {"success", "processing"} == set(seen)
    assert 15 < seen.count("success")
    assert {"processing"} == set(others)


@pytest.mark.parametrize(("share", "status"), [("0", "processing"), ("1", "success")])
def test_at_once_sets_the_share_for_all_families(program, share, status):
    """The share replaces the one of the realtime families, and holds for all others."""
    with emulated_service(program, "--at-once", share) as url:
        seen = statuses(url, "v6/realtime/text2img", 5)
        seen += statuses(url, "v6/images/text2img", 5)
    assert [status] * 10 == seen


@pytest.mark.parametrize(
    ("options", "status"), [((), "processing"), (("--strict-families",), "failed")]
)
def test_strict_families_hide_jobs_of_other_families(program, options, status):
    """A poll of another family finds the job of a submit, unless the option is given."""
    with (
        emulated_service(program, "--at-once", "0", *options) as url,
        httpx.Client(base_url=url, timeout=TIMEOUT_S) as http,
    ):
        submit = {"key": KEY, "prompt": "a cat"}
        id_ = http.post("/api/v6/realtime/text2img", json=submit).json()["id"]
        found = http.post(f"/api/v6/images/fetch/{id_}", json={"key": KEY}).json()
    assert status == found["status"]


def test_port_in_use_is_reported_with_advice(program):
    """A port in use is reported in one line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = program("emulate", "--port", str(taken.getsockname()[1]))
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert "choose another --port" in run.stderr


@pytest.mark.parametrize("duration", ["6:2", "nan", "2:inf", "soon", "-1"])
def test_malformed_duration_is_refused(duration):
    """A duration that is no range of seconds is refused."""
    with pytest.raises(click.BadParameter, match="no range of seconds"):
        emulate.make_context("emulate", [f"--duration={duration}"])


def test_faults_option_makes_faults(program):
    """With `--faults`, a client meets the faults."""
    with program.start(
        "emulate", "--port", "0", "--job", "1", "--duration", "0", "--failure-rate", "0",
        "--faults", "html=0.5,reset_after=0.5,seed=4",
    ) as process:  # fmt: skip
        ticket = process.stdout.readline().strip()
        lines = [process.stderr.readline() for _ in range(9)]
        url = re.search(r"export MODELSLAB_BASE_URL=(\S+)", "".join(lines))[1]
        run = program("fetch", ticket, "--base-url", url)
        process.kill()
    assert 10 == run.returncode


def test_unknown_fault_is_refused_with_suggestions():
    """A misspelt fault is refused with a suggestion and the list of all faults."""
    with pytest.raises(click.BadParameter, match=r"did you mean 'html'.*known faults: .*drip"):
        emulate.make_context("emulate", ["--faults=htlm=1"])
