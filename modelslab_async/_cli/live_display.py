"""Shows the progress of a run: a redrawn display on a terminal, or else plain lines."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import click
from rich.console import Group, RenderableType
from rich.live import Live

from . import output

_REDRAW_INTERVAL_S = 0.2
# When the user presses Ctrl-C, the terminal writes "^C" at the cursor. If the display's last line
# filled the terminal's width, "^C" would start a new line, and the next redraw would not erase it.
# So the display ends with an empty line for "^C".
_EMPTY_LINE = ("",)


@asynccontextmanager
async def live_display(
    render: Callable[[], RenderableType],
    status_line: Callable[[], str],
    *,
    plain_interval_s: float,
    quiet: bool = False,
) -> AsyncGenerator[None, None]:
    """
    Show the state of a run on standard error while the block runs, and once more at its end.

    Args:
        render: Returns what to draw on a terminal.
        status_line: Returns the line to print if standard error is not a terminal.
        plain_interval_s: The seconds between two status lines.
        quiet: True to show nothing.
    """
    console = output.make_console(stderr=True)
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not quiet else None

    def draw(below: tuple[str, ...] = ()) -> None:
        if live is not None:
            live.update(Group(render(), *below), refresh=True)
        elif not quiet:
            click.echo(status_line(), err=True)

    async def redraw(interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            draw(below=_EMPTY_LINE)

    if live is not None:
        live.start()
        draw(below=_EMPTY_LINE)
    task = asyncio.create_task(redraw(_REDRAW_INTERVAL_S if live else plain_interval_s))
    try:
        yield
    finally:
        task.cancel()
        draw()
        if live is not None:
            live.stop()
