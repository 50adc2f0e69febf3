"""
Kill workers of a batch at random moments, and check the outcome of every ticket.

    python tests/batch/kill.py --kills 50 --workers 1 --seed 1
    python tests/batch/kill.py --kills 50 --full
    python tests/batch/kill.py --kills 50 --no-files
    python tests/batch/kill.py --kills 1000 --workers 3 --postgres

A server with the emulator, and workers that share one journal, run on loopback. The journal is a
file or, with `--postgres`, a batch on a PostgreSQL server that the script starts. The script kills
a worker at a random moment and starts another; the last ones may finish. Then every ticket has one
outcome and its columns of the input, no outcome was handed out before it was on the disk or handed
out twice, and no worker polled a ticket after it had lost it. With `--full`, the system limits the
size of a worker's files, and many workers end by that before they are killed. Such ends do not
count as kills.

Without `--no-files`, the workers save the outputs of the tickets. Then each success has its files,
complete and as they were served. No recorded file was requested again, and the folder holds nothing
else.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

# With -P, Python does not search the folder of the script. What tests share is in the one above.
sys.path += [str(folder) for folder in Path(__file__).parents[:2]]

from counting_emulator import CountingEmulator
from kill_checks import (
    OUTPUTS,
    check_handed,
    check_outcomes,
    check_polls,
    count_lines,
    is_failing,
)
from kill_journal import Location, new_journals

from modelslab_async import (
    Batch,
    Client,
    Downloads,
    Failed,
    FileNotWritten,
    JournalFull,
    Outcome,
    Pace,
    Saved,
    SaveResult,
    Success,
    Unsaved,
)
from modelslab_async._downloads import transfer
from modelslab_async.emulator import Emulator, run_server

# Long enough that no worker loses its lease on a busy machine. On Linux, the lease of a worker that
# was killed ends at once.
LEASE_S = 60.0
# A worker is killed after at most so many further polls.
MAX_POLLS = 100
# The pause between two looks at the list of polls.
POLL_S = 0.005
# For the last run, on a busy machine.
MAX_LAST_RUN_S = 300.0
# The least limit on the size of a worker's files.
MIN_LIMIT_BYTES = 100_000
# The exit code of a worker that reached the limit.
FULL_EXIT_CODE = 3
# After so many workers in a row that reached the limit, one has none.
MAX_FULL_IN_A_ROW = 3
STATES = {Saved: "success", Success: "success", Failed: "failed"}
QUICK = Pace(floor=0.1, ceiling=0.2, max_failures=1000)
# No job takes so long.
ENDLESS_S = 1e6
# The most seconds that a job takes from when the parent lets it end.
MAX_JOB_S = 0.5


def serve(pipe: Pipe, folder: Path, journal: Location, tickets: int) -> None:
    """
    Serve until the parent kills this process.

    No job ends before the parent writes its number to the pipe. So however slow the machine is, no
    worker has nothing left to do before it is killed.
    """

    async def main() -> None:
        emulator = Emulator()
        app: Any = CountingEmulator(emulator, folder, journal)
        async with run_server(app) as url:

            def add_job(number: int, duration: float) -> None:
                links = [f"{url}/made/{number}-{n}.png" for n in range(OUTPUTS)]
                fails = is_failing(number)
                emulator.add_job(("images", number), duration=duration, fails=fails, output=links)

            for number in range(1, tickets + 1):
                add_job(number, ENDLESS_S)
            pipe.send(url)
            while True:
                for number in await asyncio.to_thread(pipe.recv):
                    add_job(number, random.uniform(0.0, MAX_JOB_S))

    asyncio.run(main())


def largest_journal_file_bytes(folder: Path) -> int:
    """The size of the largest file of the journal."""
    largest = 0
    for file in folder.glob("journal*"):
        # The server reads the journal too. If it is the last to close it, SQLite deletes two files.
        with suppress(FileNotFoundError):
            largest = max(largest, file.stat().st_size)
    return largest


def work(
    folder: Path,
    journal: Location,
    url: str,
    name: str,
    *,
    tickets: int,
    files: bool,
    room: int | None,
    ahead: float,
) -> None:
    """Run one worker: add the tickets, run the batch, and list what was handed out."""
    # A worker's warnings are expected.
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    # Small files are written in many pieces, too, so that a kill leaves parts of them.
    transfer._CHUNK_BYTES = 32
    if room is not None:
        limit = max(largest_journal_file_bytes(folder), MIN_LIMIT_BYTES) + room
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def clock_ahead() -> float:
        return time.time() + ahead

    # A database judges leases by its own clock if it is not given another one.
    clock = clock_ahead if ahead else time.time

    async def main() -> None:
        handed = os.open(folder / f"handed-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        async with (
            Client(name, base_url=url, pace=QUICK, workers=8) as client,
            Batch.open(journal, client=client, lease=LEASE_S, clock=clock) as batch,
        ):
            await batch.add(
                (("images", number), {"row": number}) for number in range(1, tickets + 1)
            )
            downloads = Downloads(client, to=folder / "out", concurrency=16, allow_private=True)
            window = tickets // 2
            results: AsyncGenerator[Outcome | SaveResult, None] = (
                batch.save(downloads, window=window) if files else batch.run(window=window)
            )
            async with downloads, aclosing(results):
                async for each in results:
                    state = STATES.get(type(each), "")
                    if isinstance(each, Unsaved):
                        assert isinstance(each.cause, FileNotWritten), each.cause
                    else:
                        os.write(handed, f"{each.ticket} {state}\n".encode())

    try:
        asyncio.run(main())
    except JournalFull:
        sys.exit(FULL_EXIT_CODE)


def forked(target: Callable[..., None], *args: object, **more: object) -> multiprocessing.Process:
    """Run a function in a fork of this process, which has everything imported."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args, kwargs=more)
    process.start()
    return process


def wait_for_end(
    process: multiprocessing.Process, server: multiprocessing.Process, most: float
) -> None:
    """Wait some seconds for the end of a process. The server must not end."""
    # The sentinel is ready a moment before the exit code.
    gone = wait([process.sentinel, server.sentinel], timeout=most)
    if server.sentinel in gone:
        server.join()
        raise AssertionError(f"the server ended with {server.exitcode}")
    if process.sentinel in gone:
        process.join()


def wait_for_moment(
    process: multiprocessing.Process,
    server: multiprocessing.Process,
    folder: Path,
    rng: random.Random,
) -> None:
    """
    Wait for a random moment of a process, or for its end.

    Half of the moments are soon after the start. The others come after some polls, so that workers
    get far on a slow machine too.
    """
    if rng.random() < 0.5:
        wait_for_end(process, server, rng.uniform(0.02, 0.6))
        return
    polls = folder / "polls"
    target = count_lines(polls) + rng.randrange(MAX_POLLS)
    while process.exitcode is None and count_lines(polls) < target:
        wait_for_end(process, server, POLL_S)
    wait_for_end(process, server, rng.uniform(0.0, 0.2))


def ended(
    process: multiprocessing.Process,
    wait_for_kill: Callable[[], None],
    *,
    full: bool,
) -> bool:
    """Kill a process when it is time. Return whether it reached the limit before that."""
    try:
        wait_for_kill()
    finally:
        process.kill()
    process.join()
    if process.exitcode == FULL_EXIT_CODE and full:
        return True
    assert process.exitcode == -signal.SIGKILL, f"it ended with {process.exitcode} before its kill"
    return False


class Team:
    """
    The workers of a batch.

    Args:
        folder: The folder of the run.
        journal: The journal that they share.
        url: The address of the server.
        rng: Chooses the worker that is killed next.
        options: The options of the script.
    """

    def __init__(
        self,
        folder: Path,
        journal: Location,
        url: str,
        rng: random.Random,
        options: argparse.Namespace,
    ) -> None:
        self._arguments = (folder, journal, url)
        self._rng = rng
        self._options = options
        # The clock of a single worker on a file is after the leases of dead ones.
        is_ahead = options.workers == 1 and not options.postgres
        self._ahead_s = 2 * LEASE_S if is_ahead else 0.0
        self._started = 0
        self.running: list[multiprocessing.Process] = []

    def fill(self, *, full: bool) -> None:
        """Start the workers that are missing. With `full`, each may write only little."""
        while len(self.running) < self._options.workers:
            self._started += 1
            worker = forked(
                work,
                *(*self._arguments, f"worker-{self._started}"),
                tickets=self._options.tickets,
                files=self._options.files,
                room=self._rng.randrange(50_000) if full else None,
                ahead=self._started * self._ahead_s,
            )
            self.running.append(worker)

    def take_one(self) -> multiprocessing.Process:
        """Take a random worker out of the team."""
        return self.running.pop(self._rng.randrange(len(self.running)))

    def finish(self, server: multiprocessing.Process) -> None:
        """Wait until all workers have ended by themselves."""
        for process in self.running:
            wait_for_end(process, server, MAX_LAST_RUN_S)
            assert process.exitcode == 0, f"the last worker ended with {process.exitcode}"

    def kill(self) -> None:
        """Kill all workers."""
        for process in self.running:
            process.kill()
            process.join()


def kill_many(
    folder: Path,
    journal: Location,
    pipe: Pipe,
    server: multiprocessing.Process,
    options: argparse.Namespace,
) -> str:
    """Kill workers, check everything, and return a summary in one line."""
    rng = random.Random(options.seed)
    # Some jobs end at each kill, and one after the last.
    ending: list[list[int]] = [[] for _ in range(options.kills)]
    for number in range(1, options.tickets):
        rng.choice(ending).append(number)
    began = time.monotonic()
    killed = fulls = full_in_a_row = 0
    team = Team(folder, journal, pipe.recv(), rng, options)
    try:
        while killed < options.kills:
            team.fill(full=options.full and full_in_a_row < MAX_FULL_IN_A_ROW)
            pipe.send(ending[killed])
            ending[killed] = []
            victim = team.take_one()
            moment = partial(wait_for_moment, victim, server, folder, rng)
            full_in_a_row = full_in_a_row + 1 if ended(victim, moment, full=options.full) else 0
            fulls += full_in_a_row > 0
            killed += full_in_a_row == 0
            if (killed + fulls) % 10 == 0:
                check_handed(folder, journal)
        before = check_handed(folder, journal)
        while options.full and team.running:
            worker = team.take_one()
            fulls += ended(worker, partial(wait_for_end, worker, server, 0), full=True)
        pipe.send([options.tickets])
        team.fill(full=False)
        team.finish(server)
    finally:
        team.kill()
    handed = check_handed(folder, journal)
    check_polls(folder)
    saved = check_outcomes(folder, journal, options.tickets, files=options.files)
    return (
        f"{killed} kills by SIGKILL of {options.workers} at work, {fulls} ends for want of room, "
        f"{options.tickets} tickets: each has its outcome, "
        f"{handed} were handed out, {before} of them before the last run, "
        f"{saved} files are whole; {time.monotonic() - began:.0f} s"
    )


def serve_and_kill(folder: Path, journal: Location, options: argparse.Namespace) -> str:
    """Kill workers while a server runs, and return a summary in one line."""
    parent_pipe, server_pipe = multiprocessing.Pipe()
    server = forked(serve, server_pipe, folder, journal, options.tickets)
    # Only the server has that end now. If it dies before it serves, `recv` raises.
    server_pipe.close()
    try:
        return kill_many(folder, journal, parent_pipe, server, options)
    finally:
        server.kill()
        server.join()


def main() -> int:
    """Read the options, and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--files", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--tickets", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    if options.full and options.postgres:
        parser.error("--full limits the file of a journal, and there is none with --postgres")
    print(f"seed {options.seed}", flush=True)  # noqa: T201 -- it is a script.
    with (
        tempfile.TemporaryDirectory() as name,
        new_journals(in_database=options.postgres) as new_journal,
    ):
        folder = Path(name)
        summary = serve_and_kill(folder, new_journal(folder), options)
    print(summary)  # noqa: T201 -- it is a script.
    return 0


if __name__ == "__main__":
    sys.exit(main())
