"""
Finds the ticket that a webhook is about.

Ignores the result that the webhook reports: webhooks are not signed, so it may be forged.
"""

from contextlib import suppress

from .._models.ticket import Ticket
from .._parsing.webhook_ids import WebhookHint
from .engine import Engine


def hinted_ticket(engine: Engine, hint: WebhookHint, family: str) -> Ticket | None:
    """
    Return the ticket that a webhook is about; None if the ticket cannot be found.

    Args:
        engine: The engine, which knows the families and the tickets of its own submits.
        hint: The ids and the track_id from the webhook.
        family: The family of the ticket; "" if the address of the webhook names no family.
    """
    for ticket_id in hint.ids if family else ():
        with suppress(ValueError):
            ticket = Ticket(family, ticket_id)
            engine.status_client.family_of(ticket)
            return ticket
    return min(engine.submitter.tickets_for(hint), default=None, key=str)
