"""
Makes the pictures of batches in the documentation: `python docs/screenshots.py`.

It runs a real batch against the emulator, on this machine alone, takes the live display in its
midst, and has Chromium (on the path) draw the report.
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
# When the live display is taken, in settled tickets.
MIDST = 260
FAILING = 0.06
WHY = ("Failed, Try Again", "NSFW content detected", "CUDA out of memory", "init_image is no image")


def planted(emulator: Emulator) -> list[str]:
    """Jobs of several kinds, of which some fail, each with words of its own."""
    chance = Random(4)  # noqa: S311 -- pictures, not secrets.
    tickets: list[str] = []
    for number in range(13_443_927, 13_443_927 + TICKETS):
        family = chance.choice(["images", "realtime", "video", "voice"])
        seconds = chance.lognormvariate(1.2, 0.5)
        ticket = emulator.add_job((family, number), duration=seconds, fails=False)
        if chance.random() < FAILING:
            why = chance.choices(WHY, weights=(6, 3, 2, 1))[0]
            emulator.script(
                ticket,
                [ScriptedReply(200, b'{"status": "failed", "message": "%s"}' % why.encode())],
            )
        tickets.append(str(ticket))
    return tickets


def keep_live(progress: RunProgress) -> None:
    """Write the live display as SVG, with the fonts of whoever looks at it."""
    console = Console(width=88, record=True, file=io.StringIO(), force_terminal=True)
    console.print(render_progress(progress))
    svg = console.export_svg(title="modelslab-async batch run ids.txt --out pictures")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (STATIC / "batch-live.svg").write_text(svg.replace("Fira Code", "ui-monospace"))


async def run(folder: Path) -> str:
    """Run a batch, take its live display in the midst, and return the page of its report."""
    emulator, progress = Emulator(), RunProgress()
    async with (
        run_server(emulator) as url,
        Client("any-key", base_url=url, pace=Pace(floor=0.5), on_event=progress.on_event) as client,
        Batch.open(folder / "run.db", client=client) as batch,
        Downloads(client, to=folder / "out", allow_private=True) as downloads,
    ):
        await batch.add(planted(emulator))
        progress.begin(await batch.report(), is_saving=True)
        began = time.monotonic()
        async with aclosing(batch.save(downloads)) as deliveries:
            async for delivery in deliveries:
                progress.count_result(delivery)
                progress.add_sample(time.monotonic() - began)
                if progress.completed == MIDST:
                    keep_live(progress)
        return render_page(await read_journal(batch), "run.db")


def photograph(text: str, folder: Path) -> None:
    """Have a browser draw a page."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        raise SystemExit("there is no Chromium on the path")
    (folder / "report.html").write_text(text, encoding="utf-8")
    quiet = ("gpu", "quic", "background-networking", "component-update", "sync")
    subprocess.run(  # noqa: S603 -- a program of this machine, and a page of ours.
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
    """Make all of them."""
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as name:
        photograph(asyncio.run(run(Path(name))), Path(name))


if __name__ == "__main__":
    main()
