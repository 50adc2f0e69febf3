"""The command `emulate`: the emulator on a socket, and the lines that point a client at it."""

import asyncio
import json
from collections.abc import Callable
from shlex import quote
from typing import TYPE_CHECKING, Literal

import click

from .. import Ticket
from . import options
from .event_loop import run_async
from .ticket_arguments import well_formed

if TYPE_CHECKING:
    from ..emulator import Emulator, Faults

_ANY_KEY = "any-key"


def _introduction(base_url: str, keys: tuple[str, ...]) -> str:
    key = keys[0] if keys else _ANY_KEY
    url, body = quote(f"{base_url}/v6/realtime/text2img"), {"key": key, "prompt": "a cat"}
    lines = (
        f"The emulator answers at {base_url} until you press Ctrl-C.",
        "",
        "Point a client at it:",
        f"  export MODELSLAB_BASE_URL={quote(base_url)}",
        f"  export MODELSLAB_LEGACY_BASE_URL={quote(base_url)}",
        f"  export MODELSLAB_API_KEY={quote(key)}",
        "",
        "Start a job:",
        f"  curl {url} -H 'Content-Type: application/json' -d {quote(json.dumps(body))}",
    )
    return "\n".join(lines)


def _read_faults(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> "Faults | None":
    if text is None:
        return None
    options.need_emulator()
    from ..emulator import Faults  # noqa: PLC0415 -- an extra.

    try:
        return Faults.parse(text)
    except ValueError as fault:
        raise click.BadParameter("; ".join(str(fault).splitlines())) from None


def _read_plants(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[int | Ticket, ...]:
    """`3`, that many jobs of all families, or `images:7`, the job of that ticket."""
    return tuple(int(text) if text.isdecimal() else well_formed(text) for text in texts)


async def _serve(
    emulator: "Emulator",
    faults: "Faults | None",
    host: str,
    port: int,
    ready: Callable[[str], object],
) -> None:
    from ..emulator import faulty, serve  # noqa: PLC0415 -- an extra.

    if faults is None:
        await serve(emulator, host=host, port=port, ready=ready)
        return
    async with faulty(emulator, faults, host=host, port=port) as base_url:
        ready(base_url)
        await asyncio.Event().wait()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@options.duration
@options.failing(0.1)
@click.option(
    "--eta",
    type=click.Choice(["honest", "none", "pessimistic"]),
    default="honest",
    show_default=True,
    help="What submit replies say about the time left.",
)
@click.option(
    "--queue-limit",
    type=click.IntRange(min=0),
    help="How many unfinished jobs a key may have; without it any number.",
)
@click.option(
    "--spam-window",
    type=options.Numbers(min=0),
    metavar="SECONDS",
    help="Refuse the same submit, whatever its track_id, for so long (the service: 30).",
)
@click.option("--key", "keys", multiple=True, help="A key to accept; without one any will do.")
@options.seed
@click.option(
    "--plant",
    "plants",
    multiple=True,
    callback=_read_plants,
    metavar="N|TICKET",
    help="Start N jobs of all families, or the job of a ticket such as images:7, and print their "
    "tickets, one a line. May be given more than once.",
)
@click.option(
    "--faults",
    callback=_read_faults,
    metavar="NAME=SHARE,...",
    help="Misbehave: faults with their shares, such as reset_after=0.1,html=0.05,outage=30.",
)
@options.debug
def emulate(
    *,
    host: str,
    port: int,
    duration: tuple[float, float],
    failing: float,
    eta: Literal["honest", "none", "pessimistic"],
    queue_limit: int | None,
    spam_window: float | None,
    keys: tuple[str, ...],
    seed: int,
    plants: tuple[int | Ticket, ...],
    faults: "Faults | None",
) -> None:
    """
    Serve an emulator of the service on this machine, until Ctrl-C.

    Only planted tickets go to standard output.
    """
    options.need_emulator()
    from ..emulator import Emulator, Jobs  # noqa: PLC0415 -- an extra.

    emulator = Emulator(
        jobs=Jobs(duration=duration, failing=failing, eta=eta, seed=seed),
        keys=keys or None,
        queue_limit=queue_limit,
        spam_window=spam_window,
    )

    def ready(base_url: str) -> None:
        click.echo(_introduction(base_url, keys), err=True)
        for plant in plants:
            if isinstance(plant, Ticket):
                click.echo(str(emulator.plant(plant)))
                continue
            for ticket in emulator.plant_many(plant):
                click.echo(str(ticket))

    try:
        run_async(_serve(emulator, faults, host, port, ready))
    except KeyboardInterrupt:
        raise options.Interrupted(f"stopped after {emulator.requests} requests") from None
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise click.UsageError(
            f"cannot listen on {host}:{port}: {fault.strerror or fault}; "
            "choose another --port (0 takes a free one) or --host"
        ) from None
