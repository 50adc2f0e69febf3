"""CommandGroup: a click group that imports each command only when it is needed."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from attrs import frozen
from click.shell_completion import CompletionItem


@frozen
class CommandSource:
    """
    Where a command is defined, and what the list of commands says about it.

    Attributes:
        path: The path of the command below the package `_cli`, such as `download.download`.
        summary: The first line of the command's help.
    """

    path: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = f"{__package__}.{self.path}".rpartition(".")
        command: click.Command = getattr(import_module(module), name)
        return command


class CommandGroup(click.Group):
    """
    A click group that imports each command only when it is needed, so that `--help` is fast.

    The list of commands shows each summary in full, where click would cut a long summary.

    Args:
        sources: The commands by their names.
        **settings: See `click.Group`.
    """

    def __init__(self, *, sources: Mapping[str, CommandSource], **settings: Any) -> None:
        super().__init__(**settings)
        self.sources = sources

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """See `click.Group`."""
        return sorted(self.sources)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """See `click.Group`."""
        source = self.sources.get(cmd_name)
        return None if source is None else source.load()

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See `click.Group`. Summaries are not cut, and no command is imported."""
        commands = [
            CompletionItem(name, help=self.sources[name].summary)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        # `click.Command` completes the options.
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group`."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.sources[name].summary) for name in self.list_commands(ctx)]
            )
