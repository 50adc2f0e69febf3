"""Utilities: what is answered at once and makes no ticket. Never reads a clock."""

from typing import Any

from modelslab_async._core.endpoints import Endpoint

from .answers import Site
from .endpoints import family_of
from .intake import Intake

# What the page of the wallet shows.
_WALLET = {"status": "success", "data": {"balance": 43.6, "currency": "USD"}}


def told(endpoint: Endpoint, intake: Intake, site: Site, *, key: str, now: float) -> dict[str, Any]:
    """The reply to a question about the account, or to an upload."""
    match endpoint.name.partition("/")[2]:
        case "request_count":
            return {"status": "success", "processing_count": intake.ledger.queued(key, now)}
        case "wallet_balance":
            return _WALLET
        case "base64_to_url":
            job = intake.upload(family_of(endpoint), now=now)
            return {"status": "success", "id": int(job.ticket.id), "output": site.links(job)}
        case _:
            return {"status": "success"}
