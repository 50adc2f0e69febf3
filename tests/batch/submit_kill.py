"""
Kill a program that submits a table at random moments, and count what was paid for.

    python tests/batch/submit_kill.py --kills 200 --rows 500 --seed 1
    python tests/batch/submit_kill.py --kills 20 --rows 200 --command
    python tests/batch/submit_kill.py --kills 1000 --rows 500 --workers 3 --postgres

A server with the emulator runs on loopback and writes down each submit that it receives. The script
kills the program at a random moment and starts it again. The last one may finish. Then no row was
submitted twice, and each row has its saved files, its failure, or an uncertain submit. The script
then settles the uncertain ones by what the server received. One more run gives every row its files
or its failure, and every row was submitted once. If no row is left before there were enough kills,
the script goes on with a new table in a new journal.

With `--workers 3`, three programs submit the same table at once, and a random one is killed. Each
program that ends by itself has yielded every row once. If a program calls a submit uncertain, the
submit never gets a reply: a program waits for the reply of another one that is still alive.

The journal is a file or, with `--postgres`, a batch on a PostgreSQL server that the script starts.
With `--command`, the program is `modelslab-async batch submit`, else `Batch.generate_many`.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

# With -P, Python does not search the folder of the script. What tests share is in the one above.
sys.path += [str(folder) for folder in Path(__file__).parents[:2]]

from attrs import astuple, frozen
from kill import LEASE_S, MAX_LAST_RUN_S, POLL_S, QUICK, forked
from kill_checks import count_lines
from kill_journal import Location, new_journals
from submit_kill_checks import (
    check_paid_once,
    check_rows,
    check_told,
    check_told_uncertain,
    settle,
)

from modelslab_async import Batch, Client, Downloads, Submission, Unsubmitted
from modelslab_async._downloads import transfer
from modelslab_async.emulator import Emulator, Jobs, run_server

REALTIME = "realtime/text2img"
SLOTS = 5
# A program is killed after at most so many further submits, and at most so many seconds later.
MAX_SUBMITS = 2
MAX_MOMENT_S = 0.1
# A program submits and saves a row in less time, on average.
MAX_ROW_S = 1.0
# The least and the most seconds that a job takes, so that several kills find it running.
JOB_S = (0.1, 2.0)


class SubmitCounter:
    """The emulator, with a list of the prompts of all submits that it received."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.received = (folder / "received").open("a", buffering=1)
        self.started = (folder / "started").open("a", buffering=1)

    def deliver_webhooks(self) -> Any:
        return self.emulator.deliver_webhooks()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""

        async def receive_and_note() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body"):
                fields = json.loads(body or b"{}")
                if "prompt" in fields:
                    self.received.write(f"{fields['prompt']}\n")
            return message

        known = len(self.emulator.submits)
        is_request = scope["type"] == "http" and scope["method"] == "POST"
        await self.emulator(scope, receive_and_note if is_request else receive, send)
        for submit in self.emulator.submits[known:]:
            self.started.write(f"{submit.fields['prompt']} {submit.ticket}\n")


def serve(pipe: Any, folder: Path) -> None:
    """Serve until the parent kills this process."""

    async def main() -> None:
        jobs = Jobs(duration=JOB_S, failure_rate=0.05, seed=1)
        app: Any = SubmitCounter(Emulator(jobs=jobs), folder)
        async with run_server(app) as url:
            pipe.send(url)
            await asyncio.Event().wait()

    asyncio.run(main())


def work(folder: Path, journal: Location, url: str, rows: int, name: str) -> None:
    """Run the program once: submit the table, and list the results that it yielded."""
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    # Files are written in many pieces, so that a kill leaves parts of them.
    transfer._CHUNK_BYTES = 32
    submissions = [Submission(REALTIME, {"prompt": f"no.{n}"}, key=f"row {n}") for n in range(rows)]

    async def main() -> None:
        told = os.open(folder / f"told-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        async with (
            Client("a-key", base_url=url, pace=QUICK, queue=SLOTS) as client,
            Batch.open(journal, client=client, lease=LEASE_S) as batch,
            Downloads(client, to=folder / "out", allow_private=True) as downloads,
        ):
            async for submission, result in batch.generate_many(submissions, downloads=downloads):
                named = result.cause if isinstance(result, Unsubmitted) else result
                prompt = submission.parameters["prompt"]
                os.write(told, f"{prompt} {type(named).__name__}\n".encode())

    asyncio.run(main())


def start_program(folder: Path, journal: Location, url: str, rows: int, name: str) -> Any:
    """Start the program as a fork of this process."""
    return forked(work, folder, journal, url, rows, name)


def start_command(folder: Path, journal: Location, url: str, rows: int, _name: str) -> Any:
    """Start the command line in a process of its own."""
    table = folder / "prompts.txt"
    if not table.exists():
        table.write_text("".join(f"no.{n}\n" for n in range(rows)))
    environment = os.environ | {"MODELSLAB_API_KEY": "a-key", "MODELSLAB_BASE_URL": url}
    command_line = [
        *(sys.executable, "-m", "modelslab_async", "batch", "submit", str(table)),
        *("--endpoint", REALTIME, "--journal", str(journal), "--queue", str(SLOTS)),
        *("--out", str(folder / "out"), "--allow-private", "--quiet"),
    ]
    with (folder / "errors").open("a") as errors:
        return subprocess.Popen(command_line, env=environment, stderr=errors)


def wait_for(process: Any, seconds: float) -> int | None:
    """Wait some seconds for the end of a process. Return its exit code, if it has ended."""
    if isinstance(process, multiprocessing.process.BaseProcess):
        process.join(seconds)
        return process.exitcode
    try:
        return int(process.wait(seconds))
    except subprocess.TimeoutExpired:
        return None


def kill_at_moment(process: Any, folder: Path, rng: random.Random) -> int | None:
    """Kill a program at a random moment. Return its exit code."""
    received = folder / "received"
    target = count_lines(received) + rng.randrange(MAX_SUBMITS + 1)
    try:
        while wait_for(process, POLL_S) is None:
            if count_lines(received) >= target:
                wait_for(process, rng.uniform(0, MAX_MOMENT_S))
                break
    finally:
        process.kill()
    return wait_for(process, MAX_LAST_RUN_S)


@frozen
class Form:
    """
    One of the two programs.

    Attributes:
        start: Starts it.
        exit_codes: Those of an end by itself.
        lists_results: Whether it lists what it was handed.
    """

    start: Callable[..., Any]
    exit_codes: tuple[int, ...]
    lists_results: bool


PROGRAM = Form(start_program, exit_codes=(0,), lists_results=True)
# It exits with 1 for failed rows, and with 9 for uncertain ones.
COMMAND = Form(start_command, exit_codes=(0, 1, 9), lists_results=False)


class Team:
    """
    Programs that submit the same table at once.

    Args:
        form: The program.
        start: Starts it with a name.
        size: How many run at once.
        max_run_s: The most seconds that they take to finish the table.
    """

    def __init__(
        self, form: Form, start: Callable[[str], Any], *, size: int, max_run_s: float
    ) -> None:
        self._form = form
        self._start = start
        self._size = size
        self._max_run_s = max_run_s
        self._names = map("program-{}".format, count(1))
        self._running: dict[str, Any] = {}

    def kill_one(self, folder: Path, rng: random.Random) -> bool:
        """Kill a random program at a random moment. Return False if it ends before that."""
        self._fill()
        name = rng.choice([*self._running])
        was_killed = -signal.SIGKILL == kill_at_moment(self._running[name], folder, rng)
        if was_killed:
            del self._running[name]
        return was_killed

    def finish(self) -> list[str]:
        """Wait for the ends of all programs. Return the names of those that list their results."""
        self._fill()
        for name, process in self._running.items():
            code = wait_for(process, self._max_run_s)
            assert code in self._form.exit_codes, f"{name} ended with {code}"
        names = [*self._running]
        self._running.clear()
        return names if self._form.lists_results else []

    def kill(self) -> None:
        """Kill all programs."""
        for process in self._running.values():
            process.kill()
            wait_for(process, MAX_LAST_RUN_S)

    def _fill(self) -> None:
        while len(self._running) < self._size:
            name = next(self._names)
            self._running[name] = self._start(name)


@frozen
class Counts:
    """What happened to one table, or to several."""

    kills: int = 0
    tables: int = 0
    before: int = 0
    uncertain: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*map(sum, zip(astuple(self), astuple(other), strict=True)))


def kill_many(
    folder: Path, journal: Location, team: Team, *, kills: int, rows: int, rng: random.Random
) -> Counts:
    """Kill the programs of one table, at most so many, and check everything."""
    killed = 0
    try:
        while killed < kills and team.kill_one(folder, rng):
            killed += 1
            check_paid_once(folder)
        before = len(check_paid_once(folder))
        names = team.finish()
        check_paid_once(folder)
        uncertain = asyncio.run(check_rows(folder, journal, rows))
        check_told_uncertain(folder, uncertain)
        check_told(folder, names, rows=rows, uncertain=uncertain)
        asyncio.run(settle(folder, journal))
        check_told(folder, team.finish(), rows=rows, uncertain=set())
    finally:
        team.kill()
    assert rows == len(check_paid_once(folder)), "a row was lost"
    assert set() == asyncio.run(check_rows(folder, journal, rows))
    return Counts(killed, 1, before, len(uncertain))


def serve_and_kill(
    folder: Path, journal: Location, options: argparse.Namespace, kills: int, rng: random.Random
) -> Counts:
    """Kill the programs of one table while a server runs."""
    parent_pipe, server_pipe = multiprocessing.Pipe()
    server = forked(serve, server_pipe, folder)
    # Only the server has that end now. If it dies before it serves, `recv` raises.
    server_pipe.close()
    try:
        form = COMMAND if options.command else PROGRAM
        start = partial(form.start, folder, journal, parent_pipe.recv(), options.rows)
        max_run_s = MAX_LAST_RUN_S + MAX_ROW_S * options.rows
        team = Team(form, start, size=options.workers, max_run_s=max_run_s)
        return kill_many(folder, journal, team, kills=kills, rows=options.rows, rng=rng)
    finally:
        server.kill()
        server.join()


def main() -> int:
    """Read the options, and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)  # noqa: T201 -- it is a script.
    rng = random.Random(options.seed)
    began, counts = time.monotonic(), Counts()
    with new_journals(in_database=options.postgres) as new_journal:
        while counts.kills < options.kills:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                kills = options.kills - counts.kills
                counts = counts.plus(
                    serve_and_kill(folder, new_journal(folder), options, kills, rng)
                )
    print(  # noqa: T201 -- it is a script.
        f"{counts.kills} kills by SIGKILL of {options.workers} at work, {counts.tables} tables of "
        f"{options.rows} rows: each was paid for once and has its files or its failure; "
        f"{counts.before} were paid for before the last run, {counts.uncertain} were uncertain; "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
