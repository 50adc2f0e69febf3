"""Turns an endpoint's parameters into options, and the text given for each option into a value."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from .. import ENDPOINTS, Endpoint
from .._registry.suggestions import did_you_mean
from .options import F
from .path_like_text import looks_like_path

# The name of the argument in which a command's function gets the endpoint's parameters.
_PARAMETERS = "parameters"
_EXTRA = "extra_parameters"
_PREFIX = "endpoint_parameter_"
_PROMPT = "prompt"
# Values of these parameters stay strings, even if they look like numbers.
_TEXT_PARAMETERS = frozenset(
    {
        *(_PROMPT, "negative_prompt", "class_prompt", "instance_prompt", "text", "lyrics"),
        *("caption", "voice_description", "object_name", "file_prefix"),
        *("model_id", "voice_id", "workflow_id", "ip_adapter_id"),
    }
)
_LINK_SCHEMES = ("http://", "https://", "data:")
_MAX_SHOWN_CHARS = 100


class EndpointCommand(click.Command):
    """
    A command with an argument ENDPOINT and an option for each parameter of that endpoint.

    The command's function gets these options in one argument, `parameters`. This argument maps the
    name of each given parameter to the strings that the user gave.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(context_settings={"token_normalize_func": _to_dashes}, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the options of the endpoint that `args` names, then parse `args` with them."""
        name = _endpoint_name(args)
        if name in ENDPOINTS or (name and not ctx.resilient_parsing):
            ctx.meta[_PARAMETERS] = self._options(find_endpoint(name, ctx))
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            ctx.info_name = f"{ctx.info_name} {name or 'ENDPOINT'}"
            raise click.UsageError(_unknown_option_message(error), ctx) from None
        parameters = {
            option.removeprefix(_PREFIX): ctx.params.pop(option)
            for option in [*ctx.params]
            if option.startswith(_PREFIX)
        }
        for parameter, text in ctx.params.pop(_EXTRA, ()):
            parameters[parameter] = (*parameters.get(parameter, ()), text)
        ctx.params[_PARAMETERS] = {given: texts for given, texts in parameters.items() if texts}
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters, and those of the endpoint."""
        return [*super().get_params(ctx), *ctx.meta.get(_PARAMETERS, ())]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two parts of the help: the endpoint's parameters, and the command's own options."""
        groups = {
            "Parameters of the endpoint": ctx.meta.get(_PARAMETERS, ()),
            "Options": super().get_params(ctx),
        }
        for title, options in groups.items():
            records = [
                record
                for each in options
                if isinstance(each, click.Option) and (record := each.get_help_record(ctx))
            ]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _options(self, endpoint: Endpoint) -> list[click.Option]:
        """
        Return an option for each parameter of the endpoint.

        A parameter that shares its name with one of the command's own options gets no option. The
        user can give it with `-p`.
        """
        taken = {name for option in self.params for name in option.opts}
        return [
            click.Option(
                [flag, f"{_PREFIX}{name}"],
                multiple=True,
                metavar="FILE" if endpoint.takes_file(name) else "VALUE",
                help=_help(endpoint, name),
            )
            for name in endpoint.parameters
            if (flag := f"--{_to_dashes(name)}") not in taken
        ]


def parse_extra(
    _context: click.Context, _parameter: click.Parameter, values: Iterable[str]
) -> list[tuple[str, str]]:
    """Split each `name=value` that the user gave with the option `-p`."""
    pairs = []
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            # The message does not show the value, which may be a secret pasted by mistake.
            raise click.BadParameter("it is a name and a value, such as width=512")
        pairs.append((name, text))
    return pairs


def extra_parameters_option(help_text: str) -> Callable[[F], F]:
    """Make the option `-p` with this help text, for parameters that have no option."""
    return click.option(
        "-p", _EXTRA, multiple=True, callback=parse_extra, metavar="NAME=VALUE", help=help_text
    )


def make_requests(endpoint: Endpoint, texts: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """
    Return the parameters of one request per prompt, or of one request if there is no prompt.

    Args:
        endpoint: The endpoint of all requests.
        texts: Maps each parameter's name to the strings that the user gave. Several strings for a
            parameter other than the prompt become a list.

    Raises:
        click.UsageError: A file does not exist.
    """
    params: dict[str, Any] = {}
    for name, given in texts.items():
        values = [parse_value(endpoint, name, text) for text in given]
        params[name] = values if len(values) > 1 else values[0]
    prompts = texts.get(_PROMPT, ())
    return [{**params, _PROMPT: prompt} for prompt in prompts] if prompts else [params]


def parse_value(endpoint: Endpoint, name: str, text: str) -> Any:
    """
    Turn the text that the user gave for a parameter into its value.

    Raises:
        click.UsageError: The parameter takes a file, and the text is neither a file nor a link.
    """
    if name in _TEXT_PARAMETERS:
        return text
    if not endpoint.takes_file(name):
        return parse_plain(text)
    return parse_file(endpoint, name, text)


def parse_file(endpoint: Endpoint, name: str, text: str) -> Any:
    """
    Return the value of a parameter that takes a file: the link itself, or the path of a file.

    Raises:
        click.UsageError: The text is neither a file nor a link.
    """
    if is_link(text):
        return text
    if _is_file(text):
        return Path(text)
    shown = text[:_MAX_SHOWN_CHARS]
    # The registry does not list the parameters of a workflow endpoint, so any of them may take a
    # file. A text that is no path is a plain value.
    if name not in endpoint.parameters:
        if name in _TEXT_PARAMETERS or not looks_like_path(text):
            return parse_plain(text)
        raise click.UsageError(
            f"there is no file {shown!r} for {name}; give its path, or a link to it; to send it "
            f"as a text, put it in double quotes: '\"{shown}\"'"
        )
    raise click.UsageError(
        f"{name} takes a file, and there is no file {shown!r}; give its path, or a link to it"
    )


def is_link(text: str) -> bool:
    """Whether a text is a link to a file, or a file as a data URL."""
    return text.casefold().startswith(_LINK_SCHEMES)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # Not a path: the text is too long or contains a NUL character.
        return False


def parse_plain(text: str) -> Any:
    """Parse a number, boolean, list, map or quoted text as JSON. Keep any other text as it is."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return text
    # The text `null` stays a string, because a parameter that is None is left out of the request.
    return text if value is None else value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number


def _endpoint_name(arguments: list[str]) -> str:
    """Return the argument that names the endpoint, or "" if there is none."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0]
    return next((argument for argument in arguments if argument in ENDPOINTS), "")


def find_endpoint(name: str, ctx: click.Context | None = None) -> Endpoint:
    """
    Return the endpoint with this name.

    Raises:
        click.UsageError: There is no such endpoint.
    """
    if (endpoint := ENDPOINTS.get(name)) is not None:
        return endpoint
    hint = did_you_mean(name, ENDPOINTS) or "none is like it;"
    raise click.UsageError(
        f"unknown endpoint {name!r}; {hint} `modelslab-async endpoints` lists all of them",
        ctx,
    )


def _unknown_option_message(error: click.NoSuchOption) -> str:
    parameter = error.option_name.lstrip("-").replace("-", "_")
    return (
        f"{error.format_message().rstrip('.')}; a parameter that the endpoint does not list can be "
        f"given as -p {parameter}=VALUE"
    )


def _help(endpoint: Endpoint, name: str) -> str:
    texts = []
    if name == _PROMPT:
        texts.append("Each further --prompt starts a generation of its own.")
    if endpoint.takes_file(name):
        texts.append("A path or a link.")
    if name in endpoint.required:
        texts.append("[required]")
    texts += [f"[{' or '.join(group)} is required]" for group in endpoint.any_of if name in group]
    return " ".join(texts)


def _to_dashes(name: str) -> str:
    return name.replace("_", "-")
