"""Helpers for asyncpg: connecting, error messages, and quoted names."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .postgres_address import hide_passwords


class UnusableAddress(Exception):
    """
    The driver cannot use a part of an address, or an environment variable such as PGSSLMODE.

    The message contains no password and no value from the part of the address after `?`.
    """


def require_asyncpg(user: str) -> None:
    """
    Make sure that asyncpg can be imported.

    Args:
        user: The feature that needs asyncpg, for the error message.

    Raises:
        ModuleNotFoundError: asyncpg is not installed. The message says how to install it.
    """
    try:
        import asyncpg  # noqa: F401, PLC0415 -- an extra.
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ModuleNotFoundError(
            f"{user} needs asyncpg; install it with: pip install "
            '"modelslab-async[postgres]", or pip install asyncpg if you run from a clone',
            name="asyncpg",
        ) from None


async def connect(address: str, *, timeout: int) -> Any:
    """
    Open a connection within `timeout` seconds, and return it.

    Raises:
        UnusableAddress: The driver cannot use a part of the address.
        Exception: The server cannot be reached or refuses the connection. The driver's error is
            raised unchanged, and its message may contain the password.
    """
    import asyncpg  # noqa: PLC0415 -- an extra.

    try:
        return await asyncpg.connect(address, timeout=timeout)
    except OSError:  # Some TLS errors are a ValueError too.
        raise
    except (ValueError, OverflowError) as error:
        detail = describe_error(error, address)
    # Raise outside the `except` block. Otherwise `__context__` would hold the original error, whose
    # message could contain the password.
    raise UnusableAddress(
        "a part of the address or a PG... environment variable cannot be used; correct it "
        f"(PostgreSQL: {_hide_settings(detail, address)})"
    )


def _hide_settings(text: str, address: str) -> str:
    # Hide the values, because one of them may be a password under a wrong name.
    for _, value in parse_qsl(urlsplit(address).query):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", text)
    return text


def describe_error(error: Exception, address: str) -> str:
    """Return the type and the message of an error, without the passwords of an address."""
    # Replace the message, because asyncpg may report a lost connection as a bug in asyncpg.
    if type(error).__name__ == "InternalClientError":
        return "ConnectionError: the server or the network ended the connection"
    return hide_passwords(f"{type(error).__name__}: {error}".rstrip(": "), address)


def quote_name(name: str) -> str:
    """Return a name in double quotes, so that SQL accepts it with any characters."""
    return '"' + name.replace('"', '""') + '"'
