"""
Makes the picture of the demo in the documentation: `python docs/demo_picture.py`.

It runs the program in a process of its own, and draws what the program printed.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent / "_static" / "demo.svg"
COMMAND = "modelslab-async demo --count 300"
# Wide enough for the longest line but two, which the picture breaks as a terminal does.
COLUMNS = 104
_PROGRESS = re.compile(r"\d[\d,]* of [\d,]+ completed ")
_ROW = re.compile(r"(\S[\S ]*?)(?:  |$)")


def run_demo() -> list[str]:
    """Run the demo, and return the lines that it prints, with the last line of its progress."""
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(  # noqa: S603 -- the program of this package.
            [sys.executable, "-m", "modelslab_async", *COMMAND.split()[1:], "--out", "pictures"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            cwd=folder,
            encoding="utf-8",
            env=environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
            timeout=300,
        )
    lines = run.stdout.splitlines()
    if any(line.startswith("overdue") for line in lines):
        raise SystemExit("this machine was too busy for the demo; run this again when it is not")
    last = max(at for at, line in enumerate(lines) if _PROGRESS.match(line))
    return [line for at, line in enumerate(lines) if at == last or not _PROGRESS.match(line)]


def styled(line: str) -> Text:
    """Return a line with the style that it has on a terminal: the name of a row is bold."""
    text = Text(line)
    row = _ROW.match(line)
    if row and row.end() < len(line) and line[row.end() - 1] == " ":
        text.stylize("bold", 0, row.end(1))
    return text


def draw(lines: list[str]) -> str:
    """Draw the lines as SVG, in the monospaced font of the reader's machine."""
    console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(styled(line), overflow="fold")
    svg = console.export_svg(title=COMMAND, unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "ui-monospace")


def main() -> None:
    """Make the picture."""
    PICTURE.write_text(draw(run_demo()), encoding="utf-8")


if __name__ == "__main__":
    main()
