"""
Kill workers of a batch at random moments, and check the outcome of every ticket.

    python tests/batch/kill.py --kills 50 --workers 1 --seed 1
    python tests/batch/kill.py --kills 50 --full
    python tests/batch/kill.py --kills 50 --no-files

A server with the emulator, and workers that share one journal, run on loopback. The script kills a
worker at a random moment and starts another; the last ones may finish. Then every ticket has one
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
import hashlib
import logging
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing, suppress
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

# With -P, Python does not search the folder of the script.
sys.path.append(str(Path(__file__).parent))

from counting_emulator import CountingEmulator

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
    Ticket,
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
# Files of a ticket: two, so that a kill can find one recorded and the other in transfer.
OUTPUTS = 2
STATES = {Saved: "success", Success: "success", Failed: "failed"}
QUICK = Pace(floor=0.1, ceiling=0.2, max_failures=1000)
# No job takes so long.
ENDLESS_S = 1e6


def serve(pipe: Pipe, folder: Path, durations: list[float]) -> None:
    """
    Serve until the parent kills this process.

    One more job ends when the parent writes to the pipe. So however slow the machine is, no worker
    has nothing left to do before it is killed.
    """

    async def main() -> None:
        emulator = Emulator()
        app: Any = CountingEmulator(emulator, folder)
        async with run_server(app) as url:

            def add_job(number: int, duration: float) -> None:
                links = [f"{url}/made/{number}-{n}.png" for n in range(OUTPUTS)]
                fails = number % 7 == 0
                emulator.add_job(("images", number), duration=duration, fails=fails, output=links)

            for number, duration in enumerate([*durations, ENDLESS_S], 1):
                add_job(number, duration)
            pipe.send(url)
            await asyncio.to_thread(pipe.recv)
            add_job(len(durations) + 1, 0.0)
            await asyncio.Event().wait()

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

    def clock() -> float:
        return time.time() + ahead

    async def main() -> None:
        handed = os.open(folder / f"handed-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        async with (
            Client(name, base_url=url, pace=QUICK, workers=8) as client,
            Batch.open(folder / "journal", client=client, lease=LEASE_S, clock=clock) as batch,
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
                        os.write(handed, f"{each.ticket.id} {state}\n".encode())

    try:
        asyncio.run(main())
    except JournalFull:
        sys.exit(FULL_EXIT_CODE)


def forked(target: Callable[..., None], *args: object, **more: object) -> multiprocessing.Process:
    """Run a function in a fork of this process, which has everything imported."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args, kwargs=more)
    process.start()
    return process


def lines(folder: Path, pattern: str) -> list[list[str]]:
    """The complete lines of some files, split. A kill may have truncated the last line."""
    texts = [path.read_text() for path in sorted(folder.glob(pattern))]
    return [line.split() for text in texts for line in text.split("\n")[:-1]]


def recorded(folder: Path) -> dict[str, str]:
    """The state of each ticket in the journal."""
    with closing(sqlite3.connect(folder / "journal", timeout=60)) as db:
        # A worker that is killed early leaves a journal without tables.
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'states'").fetchone():
            return {}
        rows = db.execute("SELECT id, name FROM tickets JOIN states USING (state)").fetchall()
    return {str(id_): name for id_, name in rows}


def check_handed(folder: Path) -> int:
    """Each outcome that was handed out is recorded, and was handed out once."""
    # In this order: the journal already holds every outcome that was handed out before.
    handed = lines(folder, "handed-*")
    ends = recorded(folder)
    assert len(handed) == len({id_ for id_, _ in handed}), "an outcome was handed out twice"
    for id_, state in handed:
        assert ends[id_] == state, f"{id_} was handed out as {state}, recorded as {ends[id_]}"
    return len(handed)


def check_files(folder: Path, tickets: int) -> int:
    """Each success has its files as they were served, once, and the folder has nothing else."""
    served = {path.rpartition("/")[2]: digest for path, digest in lines(folder, "served")}
    assert [] == lines(folder, "again"), "a recorded file was requested again"
    with closing(sqlite3.connect(folder / "journal", timeout=60)) as db:
        rows = db.execute(
            "SELECT path, sha256, url FROM files JOIN saves USING (ticket) WHERE saves.state = 2"
        ).fetchall()
    assert OUTPUTS * (tickets - tickets // 7) == len(rows), "not every success has its files"
    for path, digest, url in rows:
        assert digest == hashlib.sha256(Path(path).read_bytes()).hexdigest(), path
        assert digest == served[url.rpartition("/")[2]], path
    there = {str(path) for path in (folder / "out").iterdir()}
    assert {path for path, _, _ in rows} == there, "something else is in the folder"
    return len(rows)


def check_polls(folder: Path) -> None:
    """A worker that has lost a ticket does not poll it any more."""
    seen: dict[str, list[str]] = {}
    for id_, worker in lines(folder, "polls"):
        workers = seen.setdefault(id_, [])
        if not workers or workers[-1] != worker:
            workers.append(worker)
    for id_, workers in seen.items():
        assert len(workers) == len(set(workers)), f"{id_} was polled alternately by {workers}"


def check_outcomes(folder: Path, tickets: int, *, files: bool) -> None:
    """Every ticket has the outcome of its job, with its columns and its files."""
    expected = {
        str(number): "failed" if number % 7 == 0 else "success" for number in range(1, tickets + 1)
    }
    assert expected == recorded(folder), "not every ticket has its outcome"

    async def main() -> None:
        async with Batch.open(folder / "journal") as batch:
            async with aclosing(batch.journal.recorded_outcomes()) as records:
                found = [record async for record in records]
            assert {Ticket("images", id_) for id_ in expected} == {
                each.outcome.ticket for each in found
            }
            assert len(found) == tickets
            for each in found:
                outcome, id_ = each.outcome, each.outcome.ticket.id
                assert {"row": int(id_)} == each.columns
                is_success = isinstance(outcome, Success)
                assert not is_success or id_ in str(outcome.raw["id"])
                assert (OUTPUTS if is_success and files else 0) == len(each.files)

    asyncio.run(main())


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
    target = len(lines(folder, "polls")) + rng.randrange(MAX_POLLS)
    while process.exitcode is None and len(lines(folder, "polls")) < target:
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


def kill_many(
    folder: Path,
    url: str,
    server: multiprocessing.Process,
    end_last_job: Callable[[], None],
    *,
    kills: int,
    workers: int,
    files: bool,
    full: bool,
    tickets: int,
    seed: int,
) -> str:
    """Kill workers, check everything, and return a summary in one line."""
    rng = random.Random(seed)
    began = time.monotonic()
    started = killed = fulls = full_in_a_row = 0
    team: list[multiprocessing.Process] = []

    def fill(*, full: bool) -> None:
        nonlocal started
        while len(team) < workers:
            started += 1
            room = rng.randrange(50_000) if full else None
            # A single worker need not wait for leases of dead ones: its clock is after them.
            ahead = started * 2 * LEASE_S if workers == 1 else 0.0
            name = f"worker-{started}"
            more = {"tickets": tickets, "files": files, "room": room, "ahead": ahead}
            team.append(forked(work, folder, url, name, **more))

    try:
        while killed < kills:
            fill(full=full and full_in_a_row < MAX_FULL_IN_A_ROW)
            victim = team.pop(rng.randrange(len(team)))
            moment = partial(wait_for_moment, victim, server, folder, rng)
            full_in_a_row = full_in_a_row + 1 if ended(victim, moment, full=full) else 0
            fulls += full_in_a_row > 0
            killed += full_in_a_row == 0
            if (killed + fulls) % 10 == 0:
                check_handed(folder)
        before = check_handed(folder)
        if full:
            for process in team:
                fulls += ended(process, partial(wait_for_end, process, server, 0), full=True)
            team.clear()
        end_last_job()
        fill(full=False)
        for process in team:
            wait_for_end(process, server, MAX_LAST_RUN_S)
            assert process.exitcode == 0, f"the last worker ended with {process.exitcode}"
    finally:
        for process in team:
            process.kill()
            process.join()
    handed = check_handed(folder)
    check_polls(folder)
    check_outcomes(folder, tickets, files=files)
    saved = check_files(folder, tickets) if files else 0
    took = time.monotonic() - began
    return (
        f"{killed} kills by SIGKILL of {workers} at work, {fulls} ends for want of room, "
        f"{tickets} tickets: each has its outcome, "
        f"{handed} were handed out, {before} of them before the last run, "
        f"{saved} files are whole; {took:.0f} s"
    )


def main() -> int:
    """Read the options, and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--files", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--tickets", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)  # noqa: T201 -- it is a script.
    rng = random.Random(options.seed)
    # Jobs end throughout the time of the kills, and one after it.
    longest = (0.8 if options.full else 0.4) * options.kills + 2.0
    durations = [rng.uniform(0, longest) for _ in range(options.tickets - 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parent_pipe, server_pipe = multiprocessing.Pipe()
        server = forked(serve, server_pipe, folder, durations)
        # Only the server has that end now. If it dies before it serves, `recv` raises.
        server_pipe.close()
        try:
            summary = kill_many(
                *(folder, parent_pipe.recv(), server, lambda: parent_pipe.send(None)),
                kills=options.kills,
                workers=options.workers,
                files=options.files,
                full=options.full,
                tickets=options.tickets,
                seed=options.seed,
            )
        finally:
            server.kill()
            server.join()
    print(summary)  # noqa: T201 -- it is a script.
    return 0


if __name__ == "__main__":
    sys.exit(main())
