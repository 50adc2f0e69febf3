"""
ENDPOINTS: every documented way to start queued work, and what users of queues ask beside it.

A parameter is required here only where no document says otherwise: a missing one is found before
anything is sent, while one that is required wrongly would stop a request that the service takes.
Left out on purpose: chat, which answers at once; administration; and v8, which no page describes.
"""

from attrs import evolve

from .endpoint_rows import (
    editing,
    faces,
    images,
    interiors,
    jobs,
    legacy,
    models,
    models_3d,
    utilities,
    videos,
    voices,
)
from .endpoints import Endpoint
from .tables import Table

_ROWS = (
    *images.ROWS,
    *editing.ROWS,
    *interiors.ROWS,
    *faces.ROWS,
    *videos.ROWS,
    *voices.ROWS,
    *models_3d.ROWS,
    *models.ROWS,
    *jobs.ROWS,
    *legacy.ROWS,
    *utilities.ROWS,
)
# What one endpoint knows is a word of the service, and no misspelling anywhere else.
_WORDS = frozenset(name for row in _ROWS for name in row.parameters)

ENDPOINTS: Table[Endpoint] = Table(
    "endpoints", {row.name: evolve(row, vocabulary=_WORDS) for row in _ROWS}
)
"""The table. Extend it with `ENDPOINTS | {"family/name": Endpoint(...)}`; it is never changed."""
