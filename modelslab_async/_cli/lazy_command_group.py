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
    Where to import a command from, and its line in the list of commands.

    Attributes:
        path: The module and the name of the command, below the package `_cli`, such as
            `emulate.emulate`.
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

    The list of commands shows each summary in full, whereas click itself would cut long ones.

    Args:
        sources: The source of each command, keyed by the command's name.
        **settings: The arguments of `click.Group`.
    """

    def __init__(self, *, sources: Mapping[str, CommandSource], **settings: Any) -> None:
        super().__init__(**settings)
        self.sources = sources

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, without importing any."""
        return sorted(self.sources)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command with this name and return it, or None if there is no such command."""
        source = self.sources.get(cmd_name)
        return None if source is None else source.load()

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command or an option, without importing a command."""
        commands = [
            CompletionItem(name, help=self.sources[name].summary)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        # Complete the options as `click.Command` does: `click.Group` would import each command.
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands in the help, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.sources[name].summary) for name in self.list_commands(ctx)]
            )
