"""What all commands share: help, exit codes, missing extras and event loops."""

import ast
import os
import re
import subprocess
from pathlib import Path

import click
import pytest
from everyday import pairs
from import_time import modules_after, ratio_of_times

import modelslab_async
from modelslab_async import ModelsLabError, TicketNotFound, Unresolved, __version__
from modelslab_async._cli.app import app
from modelslab_async._cli.exit_codes_and_advice import (
    code_for,
    exit_code_for,
    explain,
    worst_code,
)
from modelslab_async._models import errors
from modelslab_async._models.replies import Failed
from modelslab_async._models.ticket import Ticket

from .conftest import COMMAND, KEY, STOP_SIGNALS, TIMEOUT_S

FAILED = Failed(ticket=Ticket("images", 1))
KINDS = [
    kind
    for kind in (getattr(modelslab_async, name) for name in modelslab_async.__all__)
    if isinstance(kind, type) and issubclass(kind, ModelsLabError) and kind is not ModelsLabError
]


def test_every_error_has_an_exit_code():
    """Every error of the package has an exit code, and `not found` has the same one everywhere."""
    made = [
        kind(FAILED) if issubclass(kind, errors.GenerationFailed) else kind("words")
        for kind in KINDS
        if kind is not errors.Refused
    ]
    assert {1, 2, 3, 4, 5, 6, 7, 8, 9, 10} == {exit_code_for(error).code for error in made}
    assert 5 == exit_code_for(TicketNotFound(FAILED)).code


def test_error_of_a_defect_is_reported_as_a_bug():
    """A ticket whose poll raised an unexpected exception has an error of no other class."""
    error = ModelsLabError("polling this ticket raised KeyError", ticket=FAILED.ticket)
    assert 70 == code_for(Unresolved(ticket=FAILED.ticket, cause=error))
    assert "images:1: polling this ticket raised KeyError" == explain(error)


@pytest.mark.parametrize("kind", [errors.AuthenticationError, errors.InvalidRequest])
def test_message_has_one_piece_of_advice(kind):
    """The advice comes from the error or, if it has none, from the table of exit codes."""
    message = explain(kind("no."))
    assert 1 == message.count("; ")
    assert message.startswith("no; check the ")


def test_worst_code_follows_the_ranking():
    """Codes are ranked: bug, key, payment, usage, network, rate, time, doubt, disk, then job."""
    ranked = [70, 3, 6, 2, 10, 4, 7, 9, 8, 5, 1, 0]
    assert ranked == [worst_code(ranked[start:]) for start in range(len(ranked))]
    assert 0 == worst_code([])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("families",),
        ("fetch", "images:7701"),
        ("wait", "images:7701"),
        ("wait", "images:7701", "images:7702", "--json"),
        ("batch", "status"),
        ("batch", "export", "-", "--file-format", "csv"),
        ("batch", "run", "-", "--json"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_output_ends_the_command(program, emulator, tmp_path, arguments, unbuffered):
    """One line says that standard output cannot be written. It is no bug of the program."""
    for number in (7701, 7702):
        emulator.add_job(("images", number), fails=False)
    assert 0 == program("batch", "run", "-", given="images:7702\n", folder=tmp_path).returncode
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path.cwd())}
            | program.environment
            | {"PYTHONUNBUFFERED": unbuffered},
            input="images:7701\n",
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
    assert 2 == ended.returncode, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("modelslab-async: standard output cannot be written: No space left")


@pytest.mark.parametrize(
    ("arguments", "ranked"),
    [
        ("", "70, 3, 6, 2, 10, 4, 7, 9, 8, 5, 1, 0"),
        ("fetch", ""),
        ("wait", "70, 3, 6, 2, 10, 4, 7, 8, 5, 1, 0"),
        ("download", "70, 3, 6, 2, 10, 4, 7, 8, 5, 1, 0"),
        ("generate", "70, 3, 6, 2, 10, 4, 7, 9, 8, 5, 1, 0"),
        ("batch run", "70, 3, 6, 2, 10, 4, 7, 9, 8, 5, 1, 0"),
        ("batch retry", "70, 3, 6, 2, 10, 4, 7, 9, 8, 5, 1, 0"),
        ("batch submit", "70, 3, 6, 2, 10, 4, 7, 9, 8, 5, 1, 0"),
        ("batch verify", ""),
    ],
)
def test_help_lists_exit_codes_of_the_command(program, arguments, ranked):
    """The help lists the codes that the command can return, and ranks those of many tickets."""
    run = program(*arguments.split(), "--help")
    assert 0 == run.returncode
    codes = {
        "fetch": {0, 1, 2, 3, 4, 5, 6, 10},
        "batch verify": {0, 2, 8},
    }.get(arguments, {int(code) for code in ranked.split(", ") if code})
    listed = re.findall(r"^ +(\d+)  \S", run.stdout.partition("Exit codes:")[2], re.MULTILINE)
    assert sorted(codes | {70, 130, 143}) == [int(code) for code in listed]
    text = " ".join(run.stdout.split())
    assert bool(ranked) == ("From worst to best" in text)
    assert f"{ranked}." in text
    assert (arguments in ("", "fetch")) == ("still running" in text)


@pytest.mark.parametrize("command", ["families", "emulate", "demo"])
def test_every_command_has_help(program, command):
    """Each command has a help text."""
    assert f"modelslab-async {command} [OPTIONS]" in program(command, "--help").stdout


@pytest.mark.parametrize("columns", ["60", "80"])
@pytest.mark.parametrize("arguments", [(), ("batch",)])
def test_summaries_of_commands_are_not_cut(program, arguments, columns):
    """Long summaries continue on the next line, instead of an ellipsis."""
    commands = program(*arguments, "--help", COLUMNS=columns).stdout.partition("Commands:")[2]
    assert commands
    assert "..." not in commands


@pytest.mark.parametrize(
    ("name", "stop"), pairs(["app", "exit_codes_and_advice", "list_families"], STOP_SIGNALS)
)
def test_signal_while_importing_prints_no_traceback(program, tmp_path, name, stop):
    """A signal before the first command has begun ends the program with its usual exit code."""
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import importlib.abc, os, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname == "modelslab_async._cli.{name}":
            os.kill(os.getpid(), {int(stop)})

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
"""
    )
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    run = program("families", PYTHONPATH=path)
    message = "modelslab-async: interrupted\n"
    assert (128 + stop, "", message) == (run.returncode, run.stdout, run.stderr)


def test_shells_show_whole_summaries(program):
    """Zsh and fish show what each command does, where click would cut a long summary."""
    run = program(
        _MODELSLAB_ASYNC_COMPLETE="zsh_complete",
        COMP_WORDS="modelslab-async batch re",
        COMP_CWORD="2",
    )
    for name in ("report", "retry"):
        summary = app.get_command(click.Context(app), "batch").sources[name].summary
        assert f"plain\n{name}\n{summary}\n" in run.stdout
    assert "..." not in run.stdout


def options_of(command, context):
    """The options of a command and of the commands below it."""
    found = {"--help"}
    for parameter in command.get_params(context):
        found |= {*parameter.opts, *parameter.secondary_opts}
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        found |= options_of(command.get_command(context, name), context)
    return found


def test_messages_name_only_options_that_exist():
    """Texts of the command line, such as advice, do not name an option that no command has."""
    folder = Path(modelslab_async.__file__).parent / "_cli"
    texts = [
        node.value
        for path in folder.rglob("*.py")
        if path.parent.name != "report" or path.name == "report_command.py"  # CSS has such names.
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = {option for text in texts for option in re.findall(r"--[a-z][a-z-]*[a-z]", text)}
    # An example in the help of `generate`, whose parameters are options.
    parameters = {"--prompt", "--width"}
    assert set() == named - options_of(app, click.Context(app)) - parameters


@pytest.mark.parametrize("group", [app, app.get_command(click.Context(app), "batch")])
def test_list_of_commands_has_the_first_line_of_each_help(group):
    """The list of commands, which imports none of them, says what their own help says first."""
    context = click.Context(group)
    for name, source in group.sources.items():
        command = group.get_command(context, name)
        assert name == command.name
        assert source.summary == command.help.strip().partition("\n")[0].rstrip(".")


def test_help_loads_no_command():
    """`--help` imports click, but neither the client nor rich."""
    loaded = modules_after("import modelslab_async._cli.app")
    assert set() == loaded & {"asyncio", "cattrs", "httpx", "rich.console", "sqlite3"}


@pytest.mark.thorough
def test_help_is_about_as_fast_as_click():
    """`--help` takes at most three times as long as importing click."""
    ratio = ratio_of_times(["-m", "modelslab_async", "--help"], ["-c", "import click"])
    assert 3.0 >= ratio


def test_no_command_shows_help_as_usage_error(program):
    """Without a command, the program prints its help on standard error and fails."""
    run = program()
    assert (2, "") == (run.returncode, run.stdout)
    assert "emulate" in run.stderr


def test_version(program):
    """`--version` prints the version of the package."""
    assert __version__ in program("--version").stdout


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("click", ("families",), "cli,emulator"),
        ("rich", ("families",), "cli,emulator"),
        ("starlette", ("emulate",), "emulator"),
        ("uvicorn", ("demo",), "emulator"),
    ],
)
def test_missing_extra_is_reported_in_one_line(program, without, missing, arguments, extra):
    """If an extra is missing, one line says what to install."""
    run = program(*arguments, PYTHONPATH=without(missing))
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert f'pip install "modelslab-async[{extra}]"' in run.stderr


def test_unexpected_error_is_one_line(program, without, tmp_path):
    """An unexpected error is one line, and a traceback only with `--debug`."""
    path = without()
    # Only what is no text, such as the row of a family, cannot be written.
    code = "import json, operator\njson.dumps = operator.methodcaller('strip')\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    run = program("families", "--json", PYTHONPATH=path)
    assert (70, 1) == (run.returncode, run.stderr.count("\n"))
    assert "Traceback" in program("families", "--json", "--debug", PYTHONPATH=path).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("wait", KEY),
        ("fetch", KEY),
        ("fetch", f"{KEY}:1"),
        ("fetch", f"images:{KEY}"),
        ("wait", f"images:{KEY}"),
        ("download", f"images:{KEY}"),
        ("batch", "run", "ids.txt", "--family", "images"),
        ("generate", KEY),
        ("generate", f"realtime/{KEY}"),
        ("endpoints", KEY),
        ("families", KEY),
        ("batch", "submit", "rows.csv", "--endpoint", KEY),
        ("batch", "submit", "endpoints.csv"),
        ("batch", "run", "tickets.txt"),
        ("--debug", "wait", KEY),
        ("generate", "realtime/text2img", "--prompt", "a cat", f"--{KEY}"),
        ("batch", "submit", "header.csv", "--endpoint", "realtime/text2img"),
    ],
    ids=" ".join,
)
def test_key_that_was_typed_by_mistake_is_not_shown(program, tmp_path, arguments):
    """The message says that the key was given, and where something else was expected."""
    (tmp_path / "rows.csv").write_text("prompt\na cat\n")
    (tmp_path / "endpoints.csv").write_text(f"endpoint,prompt\n{KEY},a cat\n")
    (tmp_path / "header.csv").write_text(f"{KEY},width\na cat,512\n")
    (tmp_path / "tickets.txt").write_text(f"{KEY}\n")
    (tmp_path / "ids.txt").write_text(f"{KEY}\n")
    done = program(*arguments, folder=tmp_path)
    assert 2 == done.returncode
    assert KEY not in done.stdout + done.stderr
    # The name of a column or an option becomes that of a parameter.
    assert KEY.replace("-", "_") not in done.stderr
    assert "[key] stands for your API key" in done.stderr


@pytest.mark.parametrize("value", ["", "=1"])
def test_key_with_underscores_is_not_shown_with_dashes(program, value):
    """The message about an unknown option names it with dashes."""
    key = "a_secret_key-for_the-command_line"
    arguments = ("generate", "realtime/text2img", "--prompt", "a cat", f"--{key}{value}")
    done = program(*arguments, MODELSLAB_API_KEY=key)
    assert 2 == done.returncode
    assert key.replace("_", "-") not in (done.stdout + done.stderr).replace("_", "-")
    assert "[key] stands for your API key" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("wait", "images:1", "--account", KEY),
        ("download", "images:1", "--out", KEY),
        ("generate", "realtime/text2img", "--prompt", "a cat", "--out", f"pictures/{KEY}"),
        ("demo", "--out", KEY),
        ("batch", "run", "tickets.txt", "--journal", f"{KEY}.db"),
        ("batch", "run", "tickets.txt", "--out", KEY),
        ("batch", "run", "tickets.txt", "--export", f"{KEY}.csv"),
        ("batch", "submit", "prompts.txt", "--endpoint", "realtime/text2img", "--out", KEY),
        ("batch", "export", f"{KEY}.csv"),
        ("batch", "copy", "run.db", KEY),
        ("batch", "report", "--html", KEY),
        ("batch", "schema", "--schema", f"for {KEY}"),
    ],
    ids=" ".join,
)
def test_no_file_folder_or_schema_is_named_as_the_key(program, tmp_path, arguments):
    """Its name would show the key. The message does not."""
    (tmp_path / "tickets.txt").write_text("images:1\n")
    (tmp_path / "prompts.txt").write_text("a cat\n")
    before = sorted(tmp_path.iterdir())
    done = program(*arguments, folder=tmp_path)
    assert 2 == done.returncode
    assert before == sorted(tmp_path.iterdir())
    assert KEY not in done.stdout + done.stderr
    assert "it contains your API key, which the name would show; give another name" in done.stderr


def test_program_runs_without_uvloop(program, emulator, without):
    """The program runs if uvloop is not installed."""
    ticket = str(emulator.add_job("realtime:90", fails=False))
    assert 0 == program("wait", ticket, PYTHONPATH=without("uvloop")).returncode


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("batch run --family vid", "plain,video"),
        ("batch run id", "file,id"),
        ("wait vide", "plain,video:"),
        ("fetch vide", "plain,video:"),
        ("download vide", "plain,video:"),
        ("families vide", "plain,video"),
    ],
)
def test_shell_completes_families_tickets_and_files(program, words, offered):
    """A shell can complete families, beginnings of tickets, and files of ids."""
    run = program(
        _MODELSLAB_ASYNC_COMPLETE="bash_complete",
        COMP_WORDS=f"modelslab-async {words}",
        COMP_CWORD=str(len(words.split())),
    )
    assert offered in run.stdout.splitlines()
