"""
Kills processes in the midst of a batch, and counts what came of every ticket.

    python tests/batch/kill.py --kills 50 --workers 1 --seed 1
    python tests/batch/kill.py --kills 50 --full
    python tests/batch/kill.py --kills 50 --no-files

A server with the emulator, and workers that share one journal, run on loopback. At random moments a
worker is killed, and a new one takes its place; the last ones may finish. Then every ticket has one
outcome, nothing was handed out before it was on the disk, nothing was handed out twice, and no two
workers looked at one ticket by turns. With `--full`, the system lets no file of a worker grow by
more than a little, and many of them end by that before they are killed. Those are told apart by how
they ended, and are none of the kills.

Unless there is `--no-files`, the workers save what the tickets made. Then each success has its
files, whole and as they were served, none was asked for again that was on record, and nothing else
is in the folder.
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
from contextlib import aclosing, closing
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

# What lies beside a script is not found where Python is told to trust no folder.
sys.path.append(str(Path(__file__).parent))

from counting_emulator import Watched

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

# Long enough that no worker loses its lease to a busy machine.
LEASE = 4.0
# Seconds for the last run, on a busy machine.
LONGEST = 300.0
# Bytes of a journal's files at the least, and how a worker ends that had no room for more.
LEAST = 100_000
FULL = 3
# After so many in a row that had no room, one has.
PATIENCE = 3
# Files of a ticket: two, so that a kill finds one on record and the other on its way.
OUTPUTS = 2
STATES = {Saved: "success", Success: "success", Failed: "failed"}
QUICK = Pace(floor=0.1, ceiling=0.2, max_failures=1000)


def serve(pipe: Pipe, folder: Path, durations: list[float]) -> None:
    """Serve until the process is ended, which its parent does."""

    async def main() -> None:
        emulator = Emulator()
        app: Any = Watched(emulator, folder)
        async with run_server(app) as url:
            for number, duration in enumerate(durations, 1):
                links = [f"{url}/made/{number}-{n}.png" for n in range(OUTPUTS)]
                fails = number % 7 == 0
                emulator.add_job(("images", number), duration=duration, fails=fails, output=links)
            pipe.send(url)
            await asyncio.Event().wait()

    asyncio.run(main())


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
    """Be one worker: add what is to be done, run, and write down what was handed out."""
    # What a worker says of its trouble in the log is not what this is about.
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    # Small files are written in many pieces too, so that kills leave parts with bytes in them.
    transfer._CHUNK_BYTES = 32
    if room is not None:
        largest = max((file.stat().st_size for file in folder.glob("journal*")), default=0)
        limit = max(largest, LEAST) + room
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def clock() -> float:
        return time.time() + ahead

    async def main() -> None:
        handed = os.open(folder / f"handed-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        async with (
            Client(name, base_url=url, pace=QUICK, workers=8) as client,
            Batch.open(folder / "journal", client=client, lease=LEASE, clock=clock) as batch,
        ):
            await batch.add(("images", number) for number in range(1, tickets + 1))
            downloads = Downloads(client, to=folder / "out", concurrency=16, allow_private=True)
            window = tickets // 2
            news: AsyncGenerator[Outcome | SaveResult, None] = (
                batch.save(downloads, window=window) if files else batch.run(window=window)
            )
            async with downloads, aclosing(news):
                async for each in news:
                    state = STATES.get(type(each), "")
                    if isinstance(each, Unsaved):
                        assert isinstance(each.cause, FileNotWritten), each.cause
                    else:
                        os.write(handed, f"{each.ticket.id} {state}\n".encode())

    try:
        asyncio.run(main())
    except JournalFull:
        sys.exit(FULL)


def forked(target: Callable[..., None], *args: object, **more: object) -> multiprocessing.Process:
    """A copy of this process, which has everything imported already, runs a function."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args, kwargs=more)
    process.start()
    return process


def lines(folder: Path, pattern: str) -> list[list[str]]:
    """The whole lines of some files, split; a kill may have cut the last one short."""
    texts = [path.read_text() for path in sorted(folder.glob(pattern))]
    return [line.split() for text in texts for line in text.split("\n")[:-1]]


def recorded(folder: Path) -> dict[str, str]:
    """What the journal says of each ticket, read as anyone could."""
    with closing(sqlite3.connect(folder / "journal", timeout=60)) as db:
        rows = db.execute("SELECT id, name FROM tickets JOIN states USING (state)").fetchall()
    return {str(id_): name for id_, name in rows}


def check_handed(folder: Path) -> int:
    """Whatever was handed out stands in the journal, and was handed out once."""
    # In this order: what is handed out after the first look is none of the second's.
    handed = lines(folder, "handed-*")
    ends = recorded(folder)
    assert len(handed) == len({id_ for id_, _ in handed}), "an outcome was handed out twice"
    for id_, state in handed:
        assert ends[id_] == state, f"{id_} was handed out as {state}, recorded as {ends[id_]}"
    return len(handed)


def check_files(folder: Path, tickets: int) -> int:
    """Each success has its file, as it was served; none was had twice, nothing else is there."""
    served = {path.rpartition("/")[2]: digest for path, digest in lines(folder, "served")}
    assert [] == lines(folder, "again"), "a file was asked for again that was on record"
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


def check_looks(folder: Path) -> None:
    """Who has lost a ticket does not look at it any more."""
    seen: dict[str, list[str]] = {}
    for id_, worker in lines(folder, "polls"):
        workers = seen.setdefault(id_, [])
        if not workers or workers[-1] != worker:
            workers.append(worker)
    for id_, workers in seen.items():
        assert len(workers) == len(set(workers)), f"{id_} was looked at in turns by {workers}"


def check_ends(folder: Path, tickets: int) -> None:
    """Every ticket has the outcome that its job had, and it can be read."""
    expected = {
        str(number): "failed" if number % 7 == 0 else "success" for number in range(1, tickets + 1)
    }
    assert expected == recorded(folder), "not every ticket has its outcome"

    async def main() -> None:
        async with Batch.open(folder / "journal") as batch:
            async with aclosing(batch.outcomes()) as outcomes:
                found = [outcome async for outcome in outcomes]
            assert {Ticket("images", id_) for id_ in expected} == {each.ticket for each in found}
            assert len(found) == tickets
            for each in found:
                assert not isinstance(each, Success) or each.ticket.id in str(each.raw["id"])

    asyncio.run(main())


def await_end(
    process: multiprocessing.Process, server: multiprocessing.Process, most: float
) -> None:
    """Wait for the end of a process for some seconds. Without its server there is no game."""
    # The end is told a moment before the exit code can be had.
    gone = wait([process.sentinel, server.sentinel], timeout=most)
    if server.sentinel in gone:
        server.join()
        raise AssertionError(f"the server ended with {server.exitcode}")
    if process.sentinel in gone:
        process.join()


def ended(
    process: multiprocessing.Process,
    server: multiprocessing.Process,
    seconds: float,
    *,
    full: bool,
) -> bool:
    """Kill a process after some seconds. Returns whether it ran out of room before that."""
    try:
        await_end(process, server, seconds)
    finally:
        process.kill()
    process.join()
    if process.exitcode == FULL and full:
        return True
    assert process.exitcode == -signal.SIGKILL, f"it ended with {process.exitcode} before its kill"
    return False


def kill_many(
    folder: Path,
    url: str,
    server: multiprocessing.Process,
    *,
    kills: int,
    workers: int,
    files: bool,
    full: bool,
    tickets: int,
    seed: int,
) -> str:
    """Play it, and return a line that says what happened."""
    chance = random.Random(seed)
    began = time.monotonic()
    started = killed = fulls = row = 0
    team: list[multiprocessing.Process] = []

    def fill(*, full: bool) -> None:
        nonlocal started
        while len(team) < workers:
            started += 1
            room = chance.randrange(50_000) if full else None
            # Who works alone need not wait for the leases of the dead: it lives after them.
            ahead = started * 2 * LEASE if workers == 1 else 0.0
            name = f"worker-{started}"
            more = {"tickets": tickets, "files": files, "room": room, "ahead": ahead}
            team.append(forked(work, folder, url, name, **more))

    try:
        while killed < kills:
            fill(full=full and row < PATIENCE)
            victim = team.pop(chance.randrange(len(team)))
            row = row + 1 if ended(victim, server, chance.uniform(0.02, 0.6), full=full) else 0
            fulls += row > 0
            killed += row == 0
            if (killed + fulls) % 10 == 0:
                check_handed(folder)
        before = check_handed(folder)
        if full:
            for process in team:
                fulls += ended(process, server, 0, full=True)
            team.clear()
        fill(full=False)
        for process in team:
            await_end(process, server, LONGEST)
            assert process.exitcode == 0, f"the last worker ended with {process.exitcode}"
    finally:
        for process in team:
            process.kill()
            process.join()
    handed = check_handed(folder)
    check_looks(folder)
    check_ends(folder, tickets)
    saved = check_files(folder, tickets) if files else 0
    took = time.monotonic() - began
    return (
        f"{killed} kills by SIGKILL of {workers} at work, {fulls} ends for want of room, "
        f"{tickets} tickets: each has its outcome, "
        f"{handed} were handed out, {before} of them before the last run, "
        f"{saved} files are whole; {took:.0f} s"
    )


def main() -> int:
    """Read the options and play it in a folder that is thrown away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--files", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--tickets", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)  # noqa: T201 -- it is a script.
    chance = random.Random(options.seed)
    # They end all through the time of the kills, and a few long after.
    longest = (0.8 if options.full else 0.4) * options.kills + 2.0
    durations = [chance.uniform(0, longest) for _ in range(options.tickets - 1)] + [longest]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = multiprocessing.Pipe()
        server = forked(serve, theirs, folder, durations)
        # Only the server has that end now: if it dies before it serves, this end hears of it.
        theirs.close()
        try:
            told = kill_many(
                *(folder, ours.recv(), server),
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
    print(told)  # noqa: T201 -- it is a script.
    return 0


if __name__ == "__main__":
    sys.exit(main())
