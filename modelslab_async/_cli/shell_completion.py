"""What a shell completes arguments to: families, tickets and endpoints. Sends nothing."""

import click

from .. import FAMILIES


def complete_family(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the families that begin with the typed text."""
    return [name for name in FAMILIES if name.startswith(incomplete)]


def complete_ticket(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the beginnings of tickets, such as `images:`, that begin with the typed text."""
    return [f"{name}:" for name in FAMILIES if f"{name}:".startswith(incomplete)]


def complete_endpoint(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the endpoints that a shell can complete to."""
    from .. import ENDPOINTS  # noqa: PLC0415 -- most commands do not need the table.

    return [name for name in ENDPOINTS if name.startswith(incomplete)]
