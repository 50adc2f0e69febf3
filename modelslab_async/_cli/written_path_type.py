"""The option types of paths and names that a command writes. They refuse an API key."""

from typing import Any

import click

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
