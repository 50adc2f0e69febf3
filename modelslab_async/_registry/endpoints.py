"""
ENDPOINTS: every documented way to start queued work, and what users of queues ask beside it.

A parameter is required here only where no document says otherwise: a missing one is found before
anything is sent, while one that is required wrongly would stop a request that the service takes.
Left out on purpose: chat, which answers at once; administration; and v8, which no page describes.
"""

from types import MappingProxyType

from attrs import evolve

from .endpoint import Endpoint
from .rows import (
    enterprise_models,
    face_swaps,
    image_editing,
    images,
    interiors,
    legacy_host,
    models_3d,
    trainings_and_workflows,
    utilities,
    videos,
    voices,
)

_ROWS = (
    *images.ROWS,
    *image_editing.ROWS,
    *interiors.ROWS,
    *face_swaps.ROWS,
    *videos.ROWS,
    *voices.ROWS,
    *models_3d.ROWS,
    *enterprise_models.ROWS,
    *trainings_and_workflows.ROWS,
    *legacy_host.ROWS,
    *utilities.ROWS,
)
# What one endpoint knows is a word of the service, and no misspelling anywhere else.
_ALL_PARAMETERS = frozenset(name for row in _ROWS for name in row.parameters)

ENDPOINTS: MappingProxyType[str, Endpoint] = MappingProxyType(
    {row.name: evolve(row, known_elsewhere=_ALL_PARAMETERS) for row in _ROWS}
)
"""Every endpoint by its name. Read-only: add with `ENDPOINTS | {"family/name": Endpoint(...)}`."""
