"""Helpers for asyncpg: the check that it is installed, error messages, and quoted names."""

from .postgres_address import hide_passwords


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


def describe_error(error: Exception, address: str) -> str:
    """Return the type and the message of an error, without the passwords of an address."""
    # Replace the message, because asyncpg may report a lost connection as a bug in asyncpg.
    if type(error).__name__ == "InternalClientError":
        return "ConnectionError: the server or the network ended the connection"
    return hide_passwords(f"{type(error).__name__}: {error}".rstrip(": "), address)


def quote_name(name: str) -> str:
    """Return a name in double quotes, so that SQL accepts it with any characters."""
    return '"' + name.replace('"', '""') + '"'
