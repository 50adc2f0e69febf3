"""Turns the arguments of a typed function into a `Submission`."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, BinaryIO, TypeAlias

from .._models.argument_checks import check_type
from .._models.submission import Submission

FileOrLink: TypeAlias = str | bytes | PathLike[str] | BinaryIO
"""A file for the service to work on: a link, a path, bytes, or a file opened with mode `rb`."""


def submission_of(endpoint: str, arguments: Mapping[str, Any]) -> Submission:
    """
    Make a submission from the arguments of a typed function.

    Args:
        endpoint: The name of the endpoint.
        arguments: All arguments of the function, keyed by name. Those that are None are left out.
            The parameters in the argument `extra` are added.

    Raises:
        TypeError: `extra` is not a mapping.
        ValueError: `extra` contains a parameter that is also an argument.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    extra: Mapping[str, Any] = given.pop("extra", {})
    check_type("extra", extra, Mapping, "a mapping of parameters by name")
    if repeated := extra.keys() & given.keys():
        raise ValueError(
            f"{endpoint} takes each parameter once, got {', '.join(sorted(repeated))} as an "
            "argument and in `extra`; leave one out"
        )
    return Submission(endpoint, {**given, **extra})
