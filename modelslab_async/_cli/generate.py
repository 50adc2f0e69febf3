"""The command `generate`: starts generations, waits for them and saves their files."""

import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .. import ENDPOINTS, Client, Downloads, Ticket
from .._transport.credentials import MissingApiKey
from . import options, output
from .account_limit_options import AccountLimits, submitting_account_options
from .argument_completers import complete_endpoint
from .client_factory import (
    DEFAULT_SUBMIT_TIMEOUT_S,
    UnusableKey,
    find_credentials,
    make_client,
    missing_key_message,
)
from .endpoint_parameter_options import EndpointCommand, extra_parameters_option, make_requests
from .event_loop import run_async
from .exit_codes_and_advice import SUBMIT_CODES, exit_codes
from .generation_run import GenerationRun
from .out_folder_check import check_out_folder
from .shared_command_errors import Interrupted
from .written_path_type import WrittenPath


@click.command(cls=EndpointCommand, epilog=exit_codes(SUBMIT_CODES))
@click.argument("endpoint", shell_complete=complete_endpoint)
@extra_parameters_option("Any other parameter, by the name that the service gives it.")
@click.option(
    "--out",
    "folder",
    type=WrittenPath(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder to save in. It is created if it does not exist.",
)
@click.option(
    "--most",
    type=click.IntRange(min=0),
    metavar="COUNT",
    help="Send nothing if this command would start, and pay for, more generations.",
)
@options.timeout_option(
    "0 only starts them",
    bounds="from the start to the results: slots, submits and polls together, without downloads",
)
@submitting_account_options
@options.download_options
@options.host_options
@options.json_option("Print each generation as a line of JSON, with its files.")
@options.debug
def generate(
    endpoint: str,
    *,
    parameters: Mapping[str, tuple[str, ...]],
    folder: Path,
    most: int | None,
    timeout: float | None,
    limits: AccountLimits,
    base_url: str | None,
    legacy_base_url: str | None,
    as_json: bool,
    **download_settings: Any,
) -> int:
    """
    Start a generation, wait until it has ended, and save its files.

    ENDPOINT is the name of an endpoint, such as realtime/text2img; `endpoints` lists all of them.
    Its parameters are options: generate realtime/text2img --prompt "a lighthouse" --width 512.
    `generate ENDPOINT --help` lists them. Where a parameter takes a file, give a path or a link.
    Numbers, booleans, lists and maps are read as JSON; an option that is given twice makes a list.

    The ticket is printed on standard error when the work has started. The path of each file is
    printed on standard output when the file is complete. After Ctrl-C or SIGTERM, the service
    continues the work, and a message says how to get its files. If a result without an id is not
    saved, its links are printed. A submit that may have been paid for is never sent again.
    """
    requests = make_requests(ENDPOINTS[endpoint], parameters)
    _check_count(len(requests), most)
    find_credentials()
    base_urls = (base_url, legacy_base_url)
    resume_command = _resume_command(folder, base_urls, limits, download_settings)
    run = GenerationRun(endpoint, requests, as_json=as_json, resume_command=resume_command)
    client = make_client(
        *base_urls,
        limits=limits,
        on_event=run.on_event,
        on_submitted=run.on_submitted,
        # On close, the client waits for the reply to a submit in flight. Without this limit, that
        # wait could be much longer than `timeout`.
        submit_timeout=min(timeout or math.inf, DEFAULT_SUBMIT_TIMEOUT_S),
    )
    for request in requests:
        _check_request(client, endpoint, request)
    check_out_folder(folder)
    downloads = Downloads(client, to=folder, **download_settings)
    try:
        run_async(run.execute, client, downloads, timeout)
    except KeyboardInterrupt:
        raise Interrupted(run.interrupted_message()) from None
    return run.print_summary()


def _check_count(count: int, most: int | None) -> None:
    if most is not None and count > most:
        raise click.UsageError(
            f"this would start {output.count_of(count, 'generation', 'generations')}, "
            f"and --most allows {most}; nothing was sent"
        )


def _resume_command(
    folder: Path,
    base_urls: tuple[str | None, str | None],
    limits: AccountLimits,
    download_settings: Mapping[str, Any],
) -> Callable[[Iterable[Ticket], Iterable[str]], str]:
    """
    Return a function that builds a `download` command line, to get the files later.

    The function takes the tickets and further options. The command line repeats this command's
    options for the folder, the base URLs, the limits and the downloads.
    """
    settings = ["--out", str(folder)]
    for flag, base_url in zip(("--base-url", "--legacy-base-url"), base_urls, strict=True):
        if base_url is not None:
            settings += [flag, base_url]
    settings += limits.flags()
    context = click.get_current_context()
    for name, value in download_settings.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            flag = f"--{name.replace('_', '-')}"
            settings += [flag] if value is True else [flag, str(value)]

    def command(tickets: Iterable[Ticket], more: Iterable[str]) -> str:
        return shlex.join([output.PROGRAM, "download", *map(str, tickets), *settings, *more])

    return command


def _check_request(client: Client, endpoint: str, request: Mapping[str, Any]) -> None:
    """
    Check the endpoint and the parameters of a request. Send nothing.

    Raises:
        UnusableKey: The API key that the endpoint needs is not set.
        click.UsageError: The endpoint makes no tickets, or the parameters do not fit it.
    """
    if ENDPOINTS[endpoint].resolved_by is None:
        raise click.UsageError(f"{endpoint} answers at once and starts no generation")
    try:
        client.engine.endpoints.check(endpoint, request)
    except MissingApiKey as error:
        raise UnusableKey(missing_key_message(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
