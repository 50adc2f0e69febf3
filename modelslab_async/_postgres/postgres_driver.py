"""Finds the driver of PostgreSQL, and quotes names for it. It opens no connection."""

from .postgres_address import hide_passwords


def require_asyncpg(user: str) -> None:
    """
    Make sure that asyncpg can be imported.

    Args:
        user: What needs it, for the message.

    Raises:
        ModuleNotFoundError: It is not installed. The message says what to install.
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
    # asyncpg reports a connection that ends at some moments as a defect of its own.
    if type(error).__name__ == "InternalClientError":
        return "ConnectionError: the server or the network ended the connection"
    return hide_passwords(f"{type(error).__name__}: {error}".rstrip(": "), address)


def quote_name(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
