"""The command `emulate`: serves the emulator, and prints how to point a client at it."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import click

from .. import Ticket
from .._transport.credentials import ENVIRONMENT_VARIABLES
from . import options, output
from .event_loop import run_async
from .shared_command_errors import Interrupted, require_emulator
from .ticket_arguments import parse_ticket

if TYPE_CHECKING:
    from ..emulator import Emulator, Faults

_PLACEHOLDER_KEY = "any-key"
# For each family, the share of submits whose reply already contains the result. The shares are
# guesses.
_IMMEDIATE_SHARES = {"realtime": 0.8, "enterprise_realtime": 0.8}


def _key_for_shell(key: str) -> tuple[str, str]:
    """
    Return an API key, and the JSON body of a submit with this key, both quoted for a shell.

    If an environment variable holds the key, both strings name the variable instead. So the key
    does not appear on the terminal, where the caller prints these strings.
    """
    for variable in ENVIRONMENT_VARIABLES.values():
        if os.environ.get(variable) == key:
            return f'"${variable}"', f"""'{{"key": "'"${variable}"'", "prompt": "a cat"}}'"""
    return quote(key), quote(json.dumps({"key": key, "prompt": "a cat"}))


def _instructions(base_url: str, keys: tuple[str, ...]) -> str:
    key, body = _key_for_shell(keys[0] if keys else _PLACEHOLDER_KEY)
    # The printed environment variables hold the URL without `/api`. The official command line
    # always adds `/api`, and this client adds it where it is missing.
    root = base_url.removesuffix("/api")
    url = quote(f"{base_url}/v6/realtime/text2img")
    lines = (
        f"The emulator answers at {base_url} until you press Ctrl-C.",
        "",
        "Point a client at it:",
        f"  export MODELSLAB_BASE_URL={quote(root)}",
        f"  export MODELSLAB_LEGACY_BASE_URL={quote(root)}",
        f"  export MODELSLAB_API_KEY={key}",
        "",
        "Start a job:",
        f"  curl {url} -H 'Content-Type: application/json' -d {body}",
        "",
        "Or make a picture; --allow-private is for the emulator's links, which are private:",
        "  modelslab-async generate realtime/text2img --prompt cat --out pictures --allow-private",
        "",
        "Or a picture of each line of a file:",
        (
            "  modelslab-async batch submit prompts.txt --endpoint realtime/text2img "
            "--out pictures --allow-private"
        ),
    )
    return "\n".join(lines)


def _totals(emulator: "Emulator") -> str:
    accepted = sum(submit.ticket is not None for submit in emulator.submits)
    return (
        f"stopped after {emulator.request_count:,} requests; submits: {accepted:,} accepted, "
        f"{emulator.refused_submits:,} refused"
    )


def _read_fault_plan(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> "Faults | None":
    if text is None:
        return None
    require_emulator()
    from ..emulator import Faults  # noqa: PLC0415 -- an extra.

    try:
        return Faults.parse(text)
    except ValueError as error:
        raise click.BadParameter("; ".join(str(error).splitlines())) from None


def _read_jobs_to_add(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[int | Ticket, ...]:
    """Parse the option `--job`: `3` means three jobs, and `images:7` a job with that ticket."""
    return tuple(int(text) if text.isdecimal() else parse_ticket(text) for text in texts)


def _add_jobs(emulator: "Emulator", jobs_to_add: Iterable[int | Ticket]) -> Iterator[Ticket]:
    for count_or_ticket in jobs_to_add:
        if isinstance(count_or_ticket, Ticket):
            yield emulator.add_job(count_or_ticket)
        else:
            yield from emulator.add_jobs(count_or_ticket)


async def _serve(
    emulator: "Emulator",
    faults: "Faults | None",
    host: str,
    port: int,
    ready: Callable[[str], object],
) -> None:
    from ..emulator import run_faulty_server, serve  # noqa: PLC0415 -- an extra.

    if faults is None:
        await serve(emulator, host=host, port=port, ready=ready)
        return
    async with run_faulty_server(emulator, faults, host=host, port=port) as base_url:
        ready(base_url)
        await asyncio.Event().wait()


def _run_until_stopped(
    emulator: "Emulator", serve: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    try:
        run_async(serve)
    except KeyboardInterrupt:
        raise Interrupted(_totals(emulator)) from None


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
@options.failure_rate(0.1)
@click.option(
    "--eta",
    type=click.Choice(["honest", "none", "pessimistic"]),
    default="honest",
    show_default=True,
    help="What the replies to submits say about the time left.",
)
@click.option(
    "--at-once",
    "immediate",
    type=options.NumberRange(0, 1),
    metavar="SHARE",
    help="The share of submits that are answered with the result. Default: 0.8 for realtime and "
    "enterprise_realtime, 0 for all others.",
)
@click.option(
    "--strict-families",
    is_flag=True,
    help="Let a poll find a job only by the family of its submit. It is unknown whether the "
    "service does so.",
)
@click.option(
    "--queue-limit",
    type=click.IntRange(min=0),
    help="The maximum number of unfinished jobs of a key. Default: no limit.",
)
@click.option(
    "--spam-window",
    type=options.NumberRange(min=0),
    metavar="SECONDS",
    help="Refuse the same submit again for this time, even with another track_id. The service does "
    "so for 30 seconds.",
)
@click.option("--key", "keys", multiple=True, help="A key to accept. Default: any key.")
@options.seed
@click.option(
    "--job",
    "jobs_to_add",
    multiple=True,
    callback=_read_jobs_to_add,
    metavar="N|TICKET",
    help="Start N jobs, or the job of a ticket such as images:7, and print the tickets, one a "
    "line. You can repeat this option.",
)
@click.option(
    "--faults",
    callback=_read_fault_plan,
    metavar="NAME=SHARE,...",
    help="Make faults with these shares, such as reset_after=0.1,html=0.05,outage=30.",
)
@options.debug
def emulate(
    *,
    host: str,
    port: int,
    duration: tuple[float, float],
    failure_rate: float,
    eta: Literal["honest", "none", "pessimistic"],
    immediate: float | None,
    keys: tuple[str, ...],
    seed: int,
    jobs_to_add: tuple[int | Ticket, ...],
    faults: "Faults | None",
    **settings: Any,
) -> None:
    """
    Serve an emulator of the service on this machine.

    The emulator runs until you press Ctrl-C. Only the tickets of --job go to standard output.
    """
    require_emulator()
    from ..emulator import Emulator, Jobs  # noqa: PLC0415 -- an extra.

    emulator = Emulator(
        jobs=Jobs(
            duration=duration,
            failure_rate=failure_rate,
            immediate=_IMMEDIATE_SHARES if immediate is None else immediate,
            eta=eta,
            seed=seed,
        ),
        keys=keys or None,
        **settings,
    )

    def ready(base_url: str) -> None:
        click.echo(output.redact(_instructions(base_url, keys)), err=True)
        for ticket in _add_jobs(emulator, jobs_to_add):
            output.print_line(str(ticket))

    try:
        _run_until_stopped(emulator, partial(_serve, emulator, faults, host, port, ready))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port (0 takes a free one) or --host"
        ) from None
