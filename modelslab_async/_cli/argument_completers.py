"""Completes arguments in the shell: families, tickets and endpoints."""

import click

from .. import FAMILIES


def complete_family(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Complete a family: return the families that start with the typed text."""
    return [name for name in FAMILIES if name.startswith(incomplete)]


def complete_ticket(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Complete the family of a ticket: return strings such as `images:` for `im`."""
    return [f"{name}:" for name in FAMILIES if f"{name}:".startswith(incomplete)]


def complete_endpoint(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Complete an endpoint: return the endpoints that start with the typed text."""
    from .. import ENDPOINTS  # noqa: PLC0415 -- most commands do not need the table.

    return [name for name in ENDPOINTS if name.startswith(incomplete)]
