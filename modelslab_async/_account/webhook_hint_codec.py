"""
Converts webhook hints to the JSON strings that an account stores, and back.

A webhook hint consists of the ids in one webhook. A client that reads the hint polls the
tickets with these ids at once.
"""

import json
from collections.abc import Iterable
from typing import Final

from .._parsing.webhook_ids import WebhookHint

# Webhook hints older than this, in seconds, are deleted. By then, clients with open tickets have
# read these hints, because they read hints several times a second.
MAX_AGE_S: Final = 60.0
MAX_COUNT: Final = 10_000
# The maximum number of characters of a webhook hint. Longer hints are dropped, because no ticket
# has ids that long.
_MAX_LENGTH: Final = 2000


def write_hints(hints: Iterable[WebhookHint]) -> list[str]:
    """Convert webhook hints to JSON strings. Drop hints that are too long to belong to a ticket."""
    bodies = [json.dumps([hint.ids, hint.track_id]) for hint in hints]
    return [body for body in bodies if len(body) <= _MAX_LENGTH]


def read_hints(bodies: Iterable[str]) -> list[WebhookHint]:
    """Convert JSON strings back to webhook hints."""
    contents = map(json.loads, bodies)
    return [WebhookHint(tuple(ids), track_id) for ids, track_id in contents]
