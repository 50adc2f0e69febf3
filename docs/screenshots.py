"""
Makes the pictures of batches in the documentation: `python docs/screenshots.py`.

It runs a real batch against an emulator on this machine, draws the live display in the middle of
the run, and lets Chromium (on the path) draw the report.
"""

import asyncio
import io
import logging
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from random import Random

from rich.console import Console

from modelslab_async import Batch, Client, Downloads, Pace
from modelslab_async._cli.batch.progress import RunProgress
from modelslab_async._cli.batch.progress_display import render_progress
from modelslab_async._cli.report.html_page import render_page
from modelslab_async._cli.report.journal_data import read_journal
from modelslab_async.emulator import Emulator, ScriptedReply, run_server

STATIC = Path(__file__).parent / "_static"
TICKETS = 400
# The live display is drawn when this number of tickets has ended.
TICKETS_AT_PICTURE = 260
FAILURE_RATE = 0.06
REASONS = (
    "Failed, Try Again",
    "NSFW content detected",
    "CUDA out of memory",
    "init_image is no image",
)


def add_jobs(emulator: Emulator) -> list[str]:
    """Add jobs of several families, some of which fail for different reasons."""
    random = Random(4)  # noqa: S311 -- the pictures must be reproducible.
    tickets: list[str] = []
    for number in range(13_443_927, 13_443_927 + TICKETS):
        family = random.choice(["images", "realtime", "video", "voice"])
        seconds = random.lognormvariate(1.2, 0.5)
        ticket = emulator.add_job((family, number), duration=seconds, fails=False)
        if random.random() < FAILURE_RATE:
            reason = random.choices(REASONS, weights=(6, 3, 2, 1))[0]
            emulator.script(
                ticket,
                [ScriptedReply(200, b'{"status": "failed", "message": "%s"}' % reason.encode())],
            )
        tickets.append(str(ticket))
    return tickets


def draw_live_display(progress: RunProgress) -> None:
    """Write the live display as SVG, in the monospaced font of the reader's machine."""
    console = Console(width=88, record=True, file=io.StringIO(), force_terminal=True)
    console.print(render_progress(progress))
    svg = console.export_svg(title="modelslab-async batch run ids.txt --out pictures")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (STATIC / "batch-live.svg").write_text(svg.replace("Fira Code", "ui-monospace"))


async def run(folder: Path) -> str:
    """Run a batch, draw its live display in the middle, and return its report as HTML."""
    emulator, progress = Emulator(), RunProgress()
    async with (
        run_server(emulator) as url,
        Client("any-key", base_url=url, pace=Pace(floor=0.5), on_event=progress.on_event) as client,
        Batch.open(folder / "run.db", client=client) as batch,
        Downloads(client, to=folder / "out", allow_private=True) as downloads,
    ):
        await batch.add(add_jobs(emulator))
        progress.begin(await batch.report(), is_saving=True)
        began = time.monotonic()
        async with aclosing(batch.save(downloads)) as results:
            async for result in results:
                progress.count_result(result)
                progress.add_sample(time.monotonic() - began)
                if progress.completed == TICKETS_AT_PICTURE:
                    draw_live_display(progress)
        return render_page(await read_journal(batch), "run.db")


def draw_report(text: str, folder: Path) -> None:
    """Let a browser draw the report."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        raise SystemExit("there is no Chromium on the path")
    (folder / "report.html").write_text(text, encoding="utf-8")
    quiet = ("gpu", "quic", "background-networking", "component-update", "sync")
    subprocess.run(  # noqa: S603 -- a local program draws a page that was made here.
        [
            *(chromium, "--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars"),
            *(f"--disable-{name}" for name in quiet),
            f"--user-data-dir={folder / 'profile'}",
            "--window-size=1240,1500",
            f"--screenshot={STATIC / 'batch-report.png'}",
            (folder / "report.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def main() -> None:
    """Make all pictures."""
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as name:
        draw_report(asyncio.run(run(Path(name))), Path(name))


if __name__ == "__main__":
    main()
