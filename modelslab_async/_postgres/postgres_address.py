"""Checks the address of a PostgreSQL server, and formats it for messages without its password."""

import re
from collections.abc import Sequence
from typing import TypeGuard
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")
# In the name of a batch or a database, these signs come from a mistyped setting, whose value may be
# secret.
_SEPARATORS = frozenset(";&?")
# The pattern of one or more hosts, each with an optional port. IPv6 addresses are in brackets.
_HOSTS = re.compile(
    r"(?:(?:\[[\w:.%]+\]|[\w.%-]*)(?::\d+)?)(?:,(?:\[[\w:.%]+\]|[\w.%-]*)(?::\d+)?)*"
)


def is_address(path: object) -> TypeGuard[str]:
    """Return whether a journal's location is a PostgreSQL address rather than a file path."""
    return isinstance(path, str) and path.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def check_address(address: str) -> None:
    """
    Check that it is clear which part of an address is the password.

    If it is unclear, an error message might show the password, or a part of it.

    Raises:
        TypeError: The address is not a string.
        ValueError: The address is malformed. The message does not repeat it.
    """
    if not isinstance(address, str):
        raise TypeError(
            "address is a text such as 'postgresql://host/database', got a value of type "
            f"{type(address).__name__}"
        )
    if not _is_clear(address):
        raise ValueError(
            "address begins with postgresql://, as in 'postgresql://user@host:5432/database', "
            "special characters of a password are percent-encoded, and settings are joined by &, "
            "as in ?sslmode=require&password=...; got another one, which is not repeated here"
        )


def split_options(address: str, names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """
    Remove this library's options, such as `batch=cats`, from the part of an address after `?`.

    Returns:
        The address without these options, and the values of the options by name.

    Raises:
        ValueError: The address has an option twice, or an option without a value, or a value with
            one of the signs `;`, `&` and `?`. The message does not repeat the value.
    """
    location, mark, query = address.partition("?")
    options: dict[str, str] = {}
    kept: list[str] = []
    for setting in query.split("&") if mark else ():
        name, _, value = setting.partition("=")
        if name not in names:
            kept.append(setting)
        elif name in options or not value:
            raise ValueError(f"the address needs one {name}=NAME, got several or an empty one")
        else:
            options[name] = _check_name(name, unquote(value))
    return location + ("?" + "&".join(kept) if kept else ""), options


def with_option(shown: str, name: str, value: str) -> str:
    """Return an address with one more option."""
    return f"{shown}{'&' if '?' in shown else '?'}{name}={quote(value, safe='')}"


def show_address(address: str) -> str:
    """Return an address without its user, its password and the part after `?`."""
    scheme, rest = address.split("://", 1)
    location = rest.partition("?")[0]
    hosts, slash, database = location.partition("/")
    return f"{scheme}://{hosts.rpartition('@')[2]}{slash}{database}"


def without_passwords(address: str) -> str:
    """
    Return an address without its passwords, for example to show it in a command.

    A program can still use this address to connect if ~/.pgpass holds the password.
    """
    location, mark, query = address.partition("?")
    settings = [
        setting for setting in query.split("&") if setting.partition("=")[0] not in _SECRETS
    ]
    scheme, rest = location.split("://", 1)
    user, at, hosts = rest.rpartition("@")
    kept = f"{scheme}://{user.partition(':')[0]}{at}{hosts}"
    return kept + ("?" + "&".join(settings) if mark and settings else "")


def passwords(address: str) -> set[str]:
    """Return each password in an address, both as it is written there and percent-decoded."""
    parts = urlsplit(address)
    found = {parts.password or "", *_query_passwords(parts.query)}
    written = parts.netloc.rpartition("@")[0].partition(":")[2]
    return {text for text in (*found, written, _decoded(written)) if text}


def hide_passwords(text: str, address: str) -> str:
    """Replace the passwords of an address with *** wherever they occur in `text`."""
    for password in passwords(address):
        text = text.replace(password, "***")
    return text


def _check_name(option: str, name: str) -> str:
    if not _SEPARATORS.isdisjoint(name):
        raise ValueError(
            f"the name of a {option} has none of the signs ; & ?, and settings are joined by &, as "
            f"in ?{option}=NAME&sslmode=require; got another name, which is not repeated here"
        )
    return name


def _query_passwords(query: str) -> set[str]:
    settings = [setting.partition("=") for setting in query.split("&")]
    written = {value for name, _, value in settings if name in _SECRETS}
    return written | {value for name, value in parse_qsl(query) if name in _SECRETS}


def _decoded(text: str) -> str:
    return dict(parse_qsl(f"x={text.replace('+', '%2B')}")).get("x", "")


def _is_clear(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return (
        parts.scheme in _SCHEMES
        and address.startswith(f"{parts.scheme}://")
        and not parts.fragment
        and "@" not in parts.path
        and "@" not in parts.query
        and _SEPARATORS.isdisjoint(parts.path)
        and not any(map(_hides_password, parts.query.split("&")))
        and _HOSTS.fullmatch(parts.netloc.rpartition("@")[2]) is not None
    )


def _hides_password(setting: str) -> bool:
    """Return whether a setting of another name contains a password, as `sslmode=on;password=x`."""
    name = setting.partition("=")[0]
    return name not in _SECRETS and "password=" in unquote(setting).casefold()
