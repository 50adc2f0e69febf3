"""The option type of a path that a command writes. Refuses a path that contains an API key."""

from typing import Any

import click

from . import output


class WrittenPath(click.Path):
    """
    The path of a file or a folder that a command may create.

    A path that contains an API key of the environment is refused. A user may have typed the key by
    mistake, and the name of the file would show the key.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that the path contains no API key, then convert it as `click.Path` does."""
        path = str(value)
        if output.redact(path) != path:
            self.fail(
                "it contains your API key, which the name would show; give another name", param, ctx
            )
        return super().convert(value, param, ctx)
