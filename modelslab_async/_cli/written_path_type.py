"""The option types of paths and names that a command writes. They refuse an API key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .._postgres.postgres_address import is_address
from . import output


def written_name(name: str) -> str:
    """
    Return a name that a command writes.

    Raises:
        click.BadParameter: The name contains an API key of the environment.
    """
    if output.redact(name) != name:
        raise click.BadParameter(
            "it contains your API key, which the name would show; give another name"
        )
    return name


class WrittenPath(click.Path):
    """
    The path of a file or a folder that a command may create.

    A path that contains an API key of the environment is refused. A user may have typed the key by
    mistake, and the name of the file would show the key.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that the path contains no API key, then convert it as `click.Path` does."""
        written_name(str(value))
        return super().convert(value, param, ctx)


class FileOrAddress(WrittenPath):
    """
    The path of a file that a command may create, or the address of a database.

    Args:
        check_path: Raises `ValueError` for a path that the file cannot have.
        check_address: Raises `ValueError` for a malformed address.
    """

    def __init__(
        self, check_path: Callable[[str], object], check_address: Callable[[str], object]
    ) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self._check_path = check_path
        self._check_address = check_address

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a file's path as a `Path`, and a database's address as a checked string."""
        try:
            if is_address(value):
                self._check_address(value)
                return value
            self._check_path(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)
