"""Standard input: every kind is read to its end, and one that cannot be read is a usage error."""

import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from modelslab_async._cli import standard_input
from modelslab_async._cli.ticket_arguments import iter_tickets
from modelslab_async._transport.credentials import Credentials

from .conftest import COMMAND, TIMEOUT_S

READERS = [
    ("wait", "-"),
    ("download", "-"),
    ("fetch", "-"),
    ("batch", "run", "-"),
    ("batch", "submit", "-", "--endpoint", "realtime/text2img"),
]


def _run_redirected(program, redirection, *arguments, folder=None):
    """Run the program with its standard input redirected by a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(Path.cwd())} | program.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"), [("<&-", "it is closed"), ("0>/dev/null", "Bad file descriptor")]
)
def test_unreadable_standard_input_ends_the_command(
    program, tmp_path, arguments, redirection, reason
):
    """A command never waits for it, and says in one line why it cannot be read."""
    ended = _run_redirected(program, redirection, *arguments, folder=tmp_path)
    assert (2, "", 1) == (ended.returncode, ended.stdout, ended.stderr.count("\n")), ended.stderr
    assert f"standard input cannot be read: {reason}" in ended.stderr
    assert [] == [*tmp_path.iterdir()]


def test_command_that_reads_no_input_runs_without_one(program, emulator):
    """No other file of the program takes the place of a closed standard input."""
    emulator.add_job("images:7601", fails=False)
    ended = _run_redirected(program, "<&-", "wait", "images:7601")
    assert (0, "") == (ended.returncode, ended.stderr)
    assert '"success"' in ended.stdout


@pytest.mark.parametrize("redirection", [">&-", "2>&-"])
def test_command_runs_with_a_closed_output(program, redirection):
    """What it would write there is discarded, and comes out nowhere else."""
    ended = _run_redirected(program, redirection, "fetch", "nonsense")
    assert (2, "") == (ended.returncode, ended.stdout)
    listed = _run_redirected(program, redirection, "families")
    assert (0, "") == (listed.returncode, listed.stderr)


@pytest.fixture
def late_input(monkeypatch):
    """
    Standard input that is a pipe which does not block, and is empty at first.

    The bytes that a test gives come once a reader waits for the pipe.
    """
    source, target = os.pipe()
    os.set_blocking(source, False)
    to_come = []

    def select_after_write(*arguments):
        if to_come:
            os.write(target, to_come.pop(0))
            if not to_come:
                os.close(target)
        return select.select(*arguments)

    monkeypatch.setattr(standard_input, "select", select_after_write)
    with os.fdopen(source, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield to_come


def test_pipe_that_does_not_block_is_read_to_its_end(late_input):
    """A reader waits for the next bytes of a pipe that another program made non-blocking."""
    late_input += [b"\xef\xbb\xbfimages:1\nima", "ges:2 Bär\n".encode()]
    with standard_input.open_text() as lines:
        assert ["images:1\n", "images:2 Bär\n"] == [*lines]


def test_tickets_of_pipe_that_does_not_block_are_read(late_input):
    """The commands that read tickets as they arrive wait for them, too."""
    late_input += [b"images:1\nima", b"ges:2\n"]

    async def read():
        found = iter_tickets(["-"], Credentials.resolve("any-key", None), print)
        return [str(ticket) async for ticket in found]

    assert ["images:1", "images:2"] == asyncio.run(asyncio.wait_for(read(), TIMEOUT_S))
