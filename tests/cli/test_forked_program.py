"""A forked run of the program is like that of a new process."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelslab_async import Ticket
from modelslab_async.emulator import ScriptedReply

from .conftest import Program


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (("families", "--json"), {}),
        (("fetch", "images:73"), {"MODELSLAB_API_KEY": None}),
        (("batch", "run", "-", "--strict"), {"given": "images:1\n\xe9\r\n", "COLUMNS": "40"}),
        (("wait", "im\xe4ges:1"), {"PYTHONIOENCODING": "ascii"}),
    ],
)
def test_fork_prints_and_returns_what_a_new_process_does(program, service, arguments, settings):
    """Output, messages and exit code are the same for the same input and environment."""
    results = [run(*arguments, **settings) for run in (program, Program(service.base_url))]
    first, second = [(each.returncode, each.stdout, each.stderr) for each in results]
    assert second == first


def test_forks_run_at_the_same_time(program, emulator):
    """A run that waits for a generation does not delay the next one."""
    ticket = Ticket("images", "7301")
    emulator.script(ticket, [ScriptedReply(200, b'{"status": "processing"}')])
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(program, "wait", str(ticket))
        while not emulator.polls[ticket]:
            time.sleep(0.01)
        assert 0 == program("families").returncode
        assert not waits.done()
        emulator.script(ticket, [ScriptedReply(200, b'{"status": "success", "output": []}')])
        assert 0 == waits.result().returncode
