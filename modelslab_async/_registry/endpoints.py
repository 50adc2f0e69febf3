"""
ENDPOINTS: every known way to start queued work, and some utilities.

If the service's documents disagree on whether a parameter is required, it is optional here. A
parameter that is required by mistake would block requests that the service accepts.

Some endpoints are known only from clients of the service. They have no `doc`, and their note says
so.

Left out on purpose: chat (it answers at once), and most endpoints that administer the account at
the service.
"""

from types import MappingProxyType

from attrs import evolve

from .endpoint import Endpoint
from .rows import (
    audio,
    enterprise_image_models,
    face_swaps,
    image_editing,
    images,
    interiors,
    legacy_host,
    models_3d,
    trainings_and_workflows,
    utilities,
    videos,
)

_ROWS = (
    *images.ROWS,
    *image_editing.ROWS,
    *interiors.ROWS,
    *face_swaps.ROWS,
    *videos.ROWS,
    *audio.ROWS,
    *models_3d.ROWS,
    *enterprise_image_models.ROWS,
    *trainings_and_workflows.ROWS,
    *legacy_host.ROWS,
    *utilities.ROWS,
)
# The parameter names of all endpoints. None of them counts as a misspelling at any endpoint.
_ALL_PARAMETERS = frozenset(name for row in _ROWS for name in row.parameters)

ENDPOINTS: MappingProxyType[str, Endpoint] = MappingProxyType(
    {row.name: evolve(row, known_elsewhere=_ALL_PARAMETERS) for row in _ROWS}
)
"""Every endpoint by its name. Read-only: add with `ENDPOINTS | {"family/name": Endpoint(...)}`."""
