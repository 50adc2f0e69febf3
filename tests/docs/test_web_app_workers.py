"""The web app of the documentation with several workers, which share one account."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from attrs import frozen
from emulator_process import EmulatorProcess, Figures
from web_app_process import PATIENCE, WebApp

QUEUE = 5
# As many as the app lets wait in one worker.
VISITORS = 20
# Rounds of each number of workers whose times are compared.
ROUNDS = 3


@frozen
class Run:
    """What came of some prompts: the time they took, the pictures, and what the service saw."""

    seconds: float
    pictures: list[list[str]]
    figures: Figures


@asynccontextmanager
async def served(
    folder: Path, program: str, *, workers: int, seconds: float
) -> AsyncGenerator[tuple[WebApp, httpx.AsyncClient, EmulatorProcess], None]:
    """Serve the app, with a service whose jobs take some seconds, and open a browser."""
    # Each request has a connection of its own, so that it may reach any worker.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with EmulatorProcess.running(queue=QUEUE, durations=(seconds, seconds)) as service:
        app = WebApp(folder, program, base_url=service.url, workers=workers)
        with app.running():
            async with httpx.AsyncClient(
                base_url=app.url, limits=limits, timeout=PATIENCE, trust_env=False
            ) as browser:
                yield app, browser, service


async def begin(browser: httpx.AsyncClient, prompt: str) -> tuple[str, str]:
    """Ask for a picture. Return its name, and the worker that started it."""
    answer = await browser.post("/pictures", json={"prompt": prompt})
    assert 202 == answer.status_code, answer.text
    return answer.json()["name"], answer.headers["x-worker"]


async def follow(browser: httpx.AsyncClient, name: str) -> tuple[list[str], str]:
    """Follow a picture to its end. Return its links, and the worker that told of it."""
    answer = await browser.get(f"/pictures/{name}")
    assert 200 == answer.status_code, answer.text
    news = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    return news[-1]["links"], answer.headers["x-worker"]


async def run(folder: Path, program: str, *, workers: int, count: int, seconds: float) -> Run:
    """Let visitors ask for pictures, and return what came of it."""
    prompts = iter([f"a lighthouse, {number}" for number in range(count)])
    pictures: list[list[str]] = []
    async with served(folder, program, workers=workers, seconds=seconds) as (_, browser, service):

        async def visit() -> None:
            for prompt in prompts:
                name, _ = await begin(browser, prompt)
                links, _ = await follow(browser, name)
                pictures.append(links)

        began = time.monotonic()
        await asyncio.gather(*(visit() for _ in range(VISITORS)))
        return Run(time.monotonic() - began, pictures, await service.end())


def check(run: Run, count: int) -> None:
    """Check that every visitor has a picture, and that the service saw no more than it had to."""
    assert 0 == run.figures.refused
    assert QUEUE >= run.figures.most_queued
    assert count == len(run.figures.prompts) == len(set(run.figures.prompts))
    assert count == sum(map(bool, run.pictures))


async def test_workers_share_slots(program_of, tmp_path):
    """Each prompt is submitted once, none draws a 429, and every visitor gets a picture."""
    program = program_of("how-to/web-app.md")
    check(await run(tmp_path / "app", program, workers=4, count=12, seconds=0.5), 12)


async def test_worker_follows_picture_of_another(program_of, tmp_path):
    """A worker accepts the names that another one signed, and shows their pictures."""
    program = program_of("how-to/web-app.md")
    async with served(tmp_path / "app", program, workers=2, seconds=0.5) as (app, browser, _):
        name, beginner = await begin(browser, "a lighthouse")
        with app.stopped(beginner):
            links, follower = await follow(browser, name)
    assert links
    assert follower != beginner


@pytest.mark.thorough
async def test_four_workers_are_as_fast_as_one(program_of, tmp_path):
    """60 prompts for five slots take as long, because the work at the service takes the time."""
    program = program_of("how-to/web-app.md")
    taken: dict[int, list[float]] = {1: [], 4: []}
    for number in range(ROUNDS):
        for workers, times in taken.items():
            folder = tmp_path / f"{number} {workers}"
            each = await run(folder, program, workers=workers, count=60, seconds=2.0)
            check(each, 60)
            times.append(each.seconds)
            polls = each.figures.polls
            sys.stdout.write(f"{workers} workers: {each.seconds:.1f} s, {polls} polls\n")
    ratio = statistics.median(taken[4]) / statistics.median(taken[1])
    sys.stdout.write(f"the ratio of the medians is {ratio:.3f}\n")
    assert 1.3 > ratio
