"""Utilities: what is answered at once and makes no ticket. Never reads a clock."""

from typing import Any

from modelslab_async._registry.endpoint import Endpoint

from .job_intake import JobIntake
from .reply_bodies import URLBuilder
from .served_endpoints import family_name_of

# What the page of the wallet shows.
_WALLET_BALANCE = {"status": "success", "data": {"balance": 43.6, "currency": "USD"}}


def utility_reply(
    endpoint: Endpoint, intake: JobIntake, urls: URLBuilder, *, key: str, now: float
) -> dict[str, Any]:
    """The reply to a question about the account, or to an upload."""
    match endpoint.name.partition("/")[2]:
        case "request_count":
            return {
                "status": "success",
                "processing_count": intake.job_store.queued_count(key, now),
            }
        case "wallet_balance":
            return _WALLET_BALANCE
        case "base64_to_url":
            job = intake.upload(family_name_of(endpoint), now=now)
            return {"status": "success", "id": int(job.ticket.id), "output": urls.links(job)}
        case _:
            return {"status": "success"}
