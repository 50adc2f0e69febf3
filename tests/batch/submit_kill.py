"""
Kill a program that submits a table at random moments, and count what was paid for.

    python tests/batch/submit_kill.py --kills 200 --rows 500 --seed 1
    python tests/batch/submit_kill.py --kills 20 --rows 200 --command

A server with the emulator runs on loopback and writes down each submit that it receives. The script
kills the program at a random moment and starts it again. The last one may finish. Then no row was
submitted twice, and each row has its saved files, its failure, or an uncertain submit. The script
then settles the uncertain ones by what the server received. One more run gives every row its files
or its failure, and every row was submitted once.

With `--command`, the program is `modelslab-async batch submit`, else `Batch.generate_many`.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

# With -P, Python does not search the folder of the script.
sys.path.append(str(Path(__file__).parent))

from kill import LEASE_S, MAX_LAST_RUN_S, POLL_S, QUICK, forked, lines

from modelslab_async import Batch, Client, Downloads, Failed, Submission, Ticket
from modelslab_async._downloads import transfer
from modelslab_async.emulator import Emulator, Jobs, run_server

REALTIME = "realtime/text2img"
SLOTS = 5
# A program is killed after at most so many further submits, and at most so many seconds later.
MAX_SUBMITS = 2
MAX_MOMENT_S = 0.1
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


def work(folder: Path, url: str, rows: int) -> None:
    """Run the program once: submit the table, and list the results that it yielded."""
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    # Files are written in many pieces, so that a kill leaves parts of them.
    transfer._CHUNK_BYTES = 32
    submissions = [Submission(REALTIME, {"prompt": f"no.{n}"}, key=f"row {n}") for n in range(rows)]

    async def main() -> None:
        handed = os.open(folder / "handed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        async with (
            Client("a-key", base_url=url, pace=QUICK, queue=SLOTS) as client,
            Batch.open(folder / "journal", client=client, lease=LEASE_S) as batch,
            Downloads(client, to=folder / "out", allow_private=True) as downloads,
        ):
            async for submission, result in batch.generate_many(submissions, downloads=downloads):
                kind = type(result).__name__
                os.write(handed, f"{submission.parameters['prompt']} {kind}\n".encode())

    asyncio.run(main())


def start(folder: Path, url: str, rows: int, *, command: bool) -> Any:
    """Start the program in a process of its own."""
    if not command:
        return forked(work, folder, url, rows)
    table = folder / "prompts.txt"
    table.write_text("".join(f"no.{n}\n" for n in range(rows)))
    environment = os.environ | {"MODELSLAB_API_KEY": "a-key", "MODELSLAB_BASE_URL": url}
    command_line = [
        *(sys.executable, "-m", "modelslab_async", "batch", "submit", str(table)),
        *("--endpoint", REALTIME, "--journal", str(folder / "journal"), "--queue", str(SLOTS)),
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


def ended_before_moment(process: Any, folder: Path, rng: random.Random) -> bool:
    """Wait for a random moment of a program. Return whether the program ended before it."""
    target = len(lines(folder, "received")) + rng.randrange(MAX_SUBMITS + 1)
    while wait_for(process, POLL_S) is None:
        if len(lines(folder, "received")) >= target:
            return wait_for(process, rng.uniform(0, MAX_MOMENT_S)) is not None
    return True


def finish(process: Any, allowed: tuple[int, ...]) -> None:
    """Wait for the end of a process that is not killed."""
    try:
        code = wait_for(process, MAX_LAST_RUN_S)
    finally:
        process.kill()
        wait_for(process, MAX_LAST_RUN_S)
    assert code in allowed, f"the program ended with {code}"


def check_paid_once(folder: Path) -> Counter[str]:
    """No row was received twice."""
    received = Counter(prompt for (prompt,) in lines(folder, "received"))
    assert all(count == 1 for count in received.values()), f"paid twice: {received.most_common(3)}"
    return received


def check_file(path: str, sha256: str) -> None:
    """A saved file is complete."""
    assert sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest(), path


async def check_rows(folder: Path, rows: int) -> int:
    """Every row has files, a failure or an uncertain submit. Return how many are uncertain."""
    ticket_of = dict(lines(folder, "started"))
    prompt_of = {ticket: prompt for prompt, ticket in ticket_of.items()}
    ended: Counter[str] = Counter()
    async with Batch.open(folder / "journal") as batch:
        async for recorded in batch.journal.recorded_outcomes():
            prompt = prompt_of[str(recorded.outcome.ticket)]
            ended[prompt] += 1
            assert recorded.files or isinstance(recorded.outcome, Failed), f"{prompt} has no file"
            for file in recorded.files:
                check_file(file.path, file.sha256)
        uncertain = await batch.uncertain()
        assert (await batch.report()).open == 0
    assert max(ended.values()) == 1
    assert rows == len(ended) + len(uncertain), f"{len(ended)} ended, {len(uncertain)} uncertain"
    parts = [path for path in (folder / "out").iterdir() if "part" in path.name]
    assert [] == parts, "parts of files were left"
    return len(uncertain)


async def settle(folder: Path, *, command: bool) -> None:
    """Record for each uncertain submit whether the server received it."""
    ticket_of = dict(lines(folder, "started"))
    async with Batch.open(folder / "journal") as batch:
        for submit in await batch.uncertain():
            prompt = submit.columns["prompt"] if command else f"no.{(submit.key or '')[4:]}"
            if prompt in ticket_of:
                await batch.journal.confirm(submit.track_id, Ticket.parse(ticket_of[prompt]))
            else:
                await batch.journal.withdraw(submit.track_id)


def kill_many(folder: Path, url: str, *, kills: int, rows: int, seed: int, command: bool) -> str:
    """Kill the program, check everything, and return a summary in one line."""
    rng = random.Random(seed)
    began, ended = time.monotonic(), 0
    for _ in range(kills):
        process = start(folder, url, rows, command=command)
        try:
            # A program that has nothing left to do ends before it can be killed.
            ended += ended_before_moment(process, folder, rng)
        finally:
            process.kill()
            wait_for(process, MAX_LAST_RUN_S)
    before = len(check_paid_once(folder))
    # The command line exits with 1 for failed rows, and with 9 for uncertain ones.
    allowed = (0, 1, 9) if command else (0,)
    finish(start(folder, url, rows, command=command), allowed)
    check_paid_once(folder)
    uncertain = asyncio.run(check_rows(folder, rows))
    asyncio.run(settle(folder, command=command))
    finish(start(folder, url, rows, command=command), allowed)
    assert rows == len(check_paid_once(folder)), "a row was lost"
    assert 0 == asyncio.run(check_rows(folder, rows))
    took = time.monotonic() - began
    return (
        f"{kills - ended} kills by SIGKILL, {rows} rows: each was paid for once and has its files "
        f"or its failure; {before} were paid for before the last run, {uncertain} were uncertain; "
        f"{took:.0f} s"
    )


def main() -> int:
    """Read the options, and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)  # noqa: T201 -- it is a script.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parent_pipe, server_pipe = multiprocessing.Pipe()
        server = forked(serve, server_pipe, folder)
        # Only the server has that end now. If it dies before it serves, `recv` raises.
        server_pipe.close()
        try:
            summary = kill_many(
                *(folder, parent_pipe.recv()),
                kills=options.kills,
                rows=options.rows,
                seed=options.seed,
                command=options.command,
            )
        finally:
            server.kill()
            server.join()
    print(summary)  # noqa: T201 -- it is a script.
    return 0


if __name__ == "__main__":
    sys.exit(main())
