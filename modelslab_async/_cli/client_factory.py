"""Makes a command's client, with API keys from environment variables."""

from collections.abc import Callable
from typing import TypeVar

import click

from .. import Client, Event, Pace, Submitted
from .._account.shared_limits import OtherLimits
from .._transport.credentials import Credentials, MissingApiKey
from .account_limit_options import AccountLimits
from .exit_codes_and_advice import BAD_KEY
from .shared_command_errors import other_limits_error

T = TypeVar("T")

DEFAULT_SUBMIT_TIMEOUT_S = 120.0
# In a long outage, the mean delay between two attempts of a submit is longer than this (seconds).
# `make_client` divides `unsent_timeout` by it to get the maximum number of attempts. So in a long
# outage, the timeout comes before this maximum is reached.
_LEAST_PAUSE_S = 15.0


class UnusableKey(click.ClickException):
    """An API key is missing or malformed."""

    exit_code = BAD_KEY


def find_credentials() -> Credentials:
    """
    Return the API keys that the environment variables hold.

    Raises:
        UnusableKey: No API key is set, or an API key is malformed.
    """
    return require_key(lambda: Credentials.resolve(None, None))


def require_key(get: Callable[[], T]) -> T:
    try:
        return get()
    except MissingApiKey as error:
        raise UnusableKey(missing_key_message(error)) from None
    except ValueError as error:
        raise UnusableKey(str(error)) from None


def missing_key_message(error: MissingApiKey) -> str:
    """Return the message that says which API key is missing and which variable holds it."""
    return f"{error.need}; set {error.variable}"


def make_client(
    base_url: str | None,
    legacy_base_url: str | None,
    on_event: Callable[[Event], object] | None = None,
    on_submitted: Callable[[Submitted], object] | None = None,
    *,
    limits: AccountLimits | None = None,
    max_submits: int | None = None,
    unsent_timeout: float = 30.0,
    submit_timeout: float = DEFAULT_SUBMIT_TIMEOUT_S,
) -> Client:
    """
    Make the client of a command, with the API keys from the environment.

    Raises:
        click.UsageError: A base URL is malformed, or other processes use the shared account with
            other limits.
        AccountError: The shared account cannot be used.
        MissingExtra: The shared account needs a package that is not installed.
    """
    try:
        return Client(
            base_url=base_url,
            legacy_base_url=legacy_base_url,
            on_event=on_event,
            on_submitted=on_submitted,
            max_submits=max_submits,
            unsent_timeout=unsent_timeout,
            pace=Pace(max_failures=max(Pace().max_failures, int(unsent_timeout / _LEAST_PAUSE_S))),
            submit_timeout=submit_timeout,
            **(limits or AccountLimits()).client_arguments(),
        )
    except OtherLimits as error:
        raise other_limits_error(error) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
