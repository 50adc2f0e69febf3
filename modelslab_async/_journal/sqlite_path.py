"""
Checks the path of a journal or a shared account, and makes it absolute.

The file itself is not accessed.
"""

import os
import re
from pathlib import Path
from typing import Final

# A path that begins so is a URL, such as the address of a database. The scheme has more than the
# one letter of a Windows drive. One slash is enough, because `pathlib.Path` turns `//` into `/`,
# and on Windows into a backslash. Errors do not quote a URL, because it may contain a password.
_URL: Final = re.compile(r"[^/\\]{2,}:[/\\]")
_MEMORY_PATH: Final = ":memory:"
# Some builds of SQLite treat a path with this prefix as a URI with options.
_URI_PREFIX: Final = "file:"


def check_journal_path(path: str | os.PathLike[str]) -> str:
    """
    Check the path of a journal, and return it as an absolute path.

    Raises:
        TypeError: The path is neither a str nor a path object that converts to a str.
        ValueError: A journal cannot have this path.
    """
    return _check_path(
        path,
        "a journal",
        example="cats.journal",
        address_advice="a text that begins with 'postgresql://', such as "
        "'postgresql://host/database?batch=cats'",
    )


def check_account_path(path: str | os.PathLike[str]) -> str:
    """
    Check the path of a shared account, and return it as an absolute path.

    Raises:
        TypeError: The path is neither a str nor a path object that converts to a str.
        ValueError: The file of a shared account cannot have this path.
    """
    return _check_path(
        path,
        "an account",
        example="account.db",
        address_advice="'postgresql://host/database', and in Python PostgresAccount",
    )


def _check_path(
    path: str | os.PathLike[str], owner: str, *, example: str, address_advice: str
) -> str:
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(
            f"the path of {owner} is a str or a pathlib.Path, got a value of type "
            f"{type(path).__name__}"
        )
    if _URL.match(text):
        raise ValueError(
            f"the path of {owner} names a file, but got a URL, which is not repeated here; "
            f"write a path such as {example!r}, or for a database {address_advice}"
        )
    if problem := _find_problem(text):
        raise ValueError(
            f"the path of {owner} names a file, but {text!r:.200} {problem}; "
            f"write one such as {example!r}"
        )
    return _absolute(text)


def _absolute(text: str) -> str:
    """
    Make a path absolute, because later connections open it again.

    Otherwise, they would open another file if the program has changed its working folder meanwhile.
    """
    try:
        return str(Path(text).absolute())
    except OSError:
        # The working folder was deleted. SQLite cannot open the relative path either, and its error
        # becomes one of this package.
        return text


def _find_problem(text: str) -> str | None:
    if not text:
        return "is empty"
    if text == _MEMORY_PATH:
        return "is a database in memory, which does not outlive the process"
    if text.startswith(_URI_PREFIX):
        return "is a URI (give a file of this name by its absolute path)"
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate, which SQLite cannot write as UTF-8"
    return None
