"""Ctrl-C or SIGTERM at any moment of the start ends the program, without a traceback."""

import os
import signal
from pathlib import Path

import pytest
from everyday import cases

from .conftest import STOP_SIGNALS

# Counts calls of functions from the first of the program to the last before its event loop runs,
# and sends the signal at one of them. So a moment does not depend on the speed of the machine.
_SITE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
moment, calls, has_begun = int(os.environ["MOMENT"]), 0, False
is_callback_wanted = os.environ["KIND"] == "callbacks"

def on_call(frame, event, _):
    global calls, has_begun
    code = frame.f_code
    if event != "call":
        return
    is_callback = "importlib" in code.co_filename and code.co_name == "cb"
    if code.co_name == "install" and "stop_signals" in code.co_filename:
        has_begun = True
    elif code.co_name == "_run_task":
        sys.setprofile(None)
        with open(os.environ["COUNT"], "w") as file:
            file.write(str(calls))
    elif has_begun and (is_callback or not is_callback_wanted):
        calls += 1
        if calls == moment:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))

sys.setprofile(on_call)
"""


@pytest.fixture
def fetch_interrupted_at(program, emulator, tmp_path):
    """A function that runs `fetch`, and interrupts it at a numbered call of one kind."""
    emulator.add_job("images:9301", duration=0.0, fails=False)
    (tmp_path / "sitecustomize.py").write_text(_SITE)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    count = tmp_path / "count"

    def run(kind, moment, stop=signal.SIGINT):
        found = program(
            *("fetch", "images:9301"),
            PYTHONPATH=path,
            PYTHONHASHSEED="0",
            KIND=kind,
            MOMENT=str(moment),
            SIGNAL=str(int(stop)),
            COUNT=str(count),
        )
        return found, int(count.read_text()) if count.exists() else None

    return run


@pytest.mark.parametrize(
    ("kind", "moments"),
    cases([("calls", 2), ("callbacks", 2)], [("calls", 30), ("callbacks", 15)]),
)
def test_signal_during_the_start_prints_no_traceback(fetch_interrupted_at, kind, moments):
    """A callback of importlib raises nothing, because Python prints and ignores its exceptions."""
    # Compiling a module makes calls too, so the first run is not counted.
    fetch_interrupted_at(kind, 0)
    run, total = fetch_interrupted_at(kind, 0)
    assert 0 == run.returncode, run.stderr
    assert total > moments
    # Two runs differ by some calls, so a run may end before the last moments.
    last = total * 99 // 100
    for number in range(moments):
        moment = 1 + number * (last - 1) // max(1, moments - 1)
        stop = STOP_SIGNALS[number % 2]
        run, _ = fetch_interrupted_at(kind, moment, stop)
        assert (128 + stop, "") == (run.returncode, run.stdout), (moment, run.stderr)
        assert run.stderr in ("", "modelslab-async: interrupted\n"), moment


@pytest.mark.parametrize("moment", ["loop", "task"])
@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_signal_before_the_coroutine_begins_prints_no_warning(program, with_site, stop, moment):
    """The command ends in order, and Python has no coroutine to warn about."""
    site = f"""
import asyncio, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
get_loop = asyncio.Runner.get_loop
def stop():
    os.kill(os.getpid(), {int(stop)})
def interrupted(self):
    if "demo" not in sys.argv:
        return get_loop(self)
    if "{moment}" == "loop":
        stop()
    loop = get_loop(self)
    create_task = loop.create_task
    def interrupted_create(*arguments):
        loop.create_task = create_task
        stop()
        return create_task(*arguments)
    loop.create_task = interrupted_create
    return loop
asyncio.Runner.get_loop = interrupted
"""
    run = program("demo", "--count", "3", PYTHONPATH=with_site(site))
    assert 128 + stop == run.returncode
    announcement, *messages = run.stderr.splitlines()
    assert "3 jobs of 3 families" in announcement
    assert ["modelslab-async: interrupted; 0 of 3 tickets had completed"] == messages


def test_background_job_ignores_ctrl_c_during_the_start(program, emulator, tmp_path):
    """A shell makes its background jobs ignore Ctrl-C, which the start does not change."""
    emulator.add_job("images:9302", duration=0.0, fails=False)
    (tmp_path / "sitecustomize.py").write_text(_SITE.replace("default_int_handler", "SIG_IGN"))
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    run = program(
        *("fetch", "images:9302"),
        PYTHONPATH=path,
        KIND="calls",
        MOMENT="100",
        SIGNAL=str(int(signal.SIGINT)),
        COUNT=str(tmp_path / "count"),
    )
    assert (0, "") == (run.returncode, run.stderr)
    assert Path(tmp_path / "count").exists()


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_signal_after_the_command_prints_no_traceback(program, emulator, with_site, stop):
    """While Python ends, a signal ends the process, because the command has cleaned up."""
    emulator.add_job("images:9303", duration=0.0, fails=False)
    site = f"import atexit, os\natexit.register(lambda: os.kill(os.getpid(), {int(stop)}))\n"
    site += "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    run = program("fetch", "images:9303", PYTHONPATH=with_site(site))
    message = "modelslab-async: interrupted\n"
    assert (128 + stop, message) == (run.returncode, run.stderr)
    assert "images:9303" in run.stdout
