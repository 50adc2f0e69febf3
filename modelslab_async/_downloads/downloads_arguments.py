"""Checks what a caller gives to `Downloads`."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from .._models.argument_checks import (
    check_callback,
    check_count,
    check_mapping,
    check_members,
    check_nonnegative_seconds,
    check_positive_seconds,
    check_type,
)
from .._models.replies import Failed, Success
from .._models.saved_file import SavedFile
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved, Unsubmitted
from .._registry.family import Family


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """
    Check the arguments of `Downloads`, except for `http` and the items of `known`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.
    """
    if arguments["client"] is not None:
        expected = "a Client, an object with its method `fetch`, or None (the folder is `to`)"
        check_members("client", arguments["client"], ("fetch",), expected)
    check_folder("to", arguments["to"])
    check_count("concurrency", arguments["concurrency"])
    check_count("max_bytes", arguments["max_bytes"], unit="bytes")
    check_nonnegative_seconds("link_timeout", arguments["link_timeout"])
    check_positive_seconds("timeout", arguments["timeout"])
    check_type("allow_private", arguments["allow_private"], bool, "True or False")
    if arguments["families"] is not None:
        check_mapping("families", arguments["families"], Family)
    check_callback("on_event", arguments["on_event"], allow_async=False)


def check_folder(name: str, folder: object) -> None:
    """
    Check that the argument `name` is the path of a folder or None.

    Raises:
        TypeError: The argument is neither a path nor None.
        ValueError: The argument is an empty string.
    """
    expected = "the path of a folder or None"
    check_type(name, folder, str | os.PathLike | None, expected)
    if folder == "":
        raise ValueError(
            f"{name} is {expected}, got an empty text; write '.' for the current folder"
        )


def index_known_files(known: Iterable[SavedFile]) -> dict[tuple[Ticket, int], SavedFile]:
    """
    Return the files of earlier runs, keyed by ticket and zero-based output index.

    Raises:
        TypeError: `known` cannot be iterated, or contains an object that is not a `SavedFile`.
    """
    expected = "files that earlier runs saved, such as a list of SavedFile"
    check_type("known", known, Iterable, expected)
    index = {}
    for file in known:
        check_type("known", file, SavedFile, expected)
        index[file.ticket, file.n] = file
    return index


def check_outcome(item: Outcome | Unsubmitted) -> None:
    """
    Raise an error if an item is not an outcome.

    Raises:
        TypeError: The item is not an outcome.
    """
    given: object = item
    if isinstance(given, (Success, Failed, Unresolved, Unsubmitted)):
        return
    hint = (
        "generate_many gives pairs, so write: "
        "stream(outcome async for _, outcome in client.generate_many(...))"
        if isinstance(given, tuple)
        else "for tickets write: stream(client.stream(tickets))"
    )
    raise TypeError(
        "the downloads take outcomes (Success, Failed, Unresolved, Unsubmitted), "
        f"got a {type(given).__name__}; {hint}"
    )


def check_success(method: str, success: Success) -> None:
    """
    Raise an error if the argument of `method` is not a `Success`.

    Raises:
        TypeError: The argument is not a `Success`.
    """
    given: object = success
    if isinstance(given, Success):
        return
    hint = (
        f"the client waits for it, so write: downloads.{method}(await client.wait(ticket))"
        if isinstance(given, (str, Ticket))
        else "pass what client.wait or client.generate returns"
    )
    raise TypeError(f"{method} takes a Success, got a {type(given).__name__}; {hint}")
