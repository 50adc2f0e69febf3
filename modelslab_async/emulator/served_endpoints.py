"""The endpoints that the emulator serves: the whole registry, and a few guessed endpoints."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.endpoints import ENDPOINTS
from modelslab_async._registry.families import FAMILIES
from modelslab_async._registry.family import Family, Medium

from .family_reply_formats import DEFAULT_SUFFIXES, default_suffix

_ENTERPRISE_URL = "{base}/v1/enterprise"


def _guessed(family: str, root: str, media: Mapping[str, Medium]) -> Iterator[Endpoint]:
    for name, medium in media.items():
        yield Endpoint(
            name=f"{family}/{name}",
            url=f"{root}/{name}",
            resolved_by=family,
            tier=FAMILIES[family].tier,
            output=(medium,),
            allows_extra=True,
        )


# Endpoints that are in no documentation and no official client. Their names are guessed from
# related endpoints. Which parameters they require is unknown, so the emulator requires none.
_GUESSED = (
    *_guessed(
        "enterprise_nano_banana",
        f"{_ENTERPRISE_URL}/nano_banana",
        {"text2img": "image", "img2img": "image"},
    ),
    *_guessed("enterprise_qwen_edit_2_1", f"{_ENTERPRISE_URL}/qwen_edit_2_1", {"img2img": "image"}),
    *_guessed(
        "enterprise_minimax_h3",
        f"{_ENTERPRISE_URL}/minimax_h3",
        {"text2video": "video", "img2video": "video"},
    ),
    *_guessed(
        "enterprise_ltx_2_3",
        f"{_ENTERPRISE_URL}/ltx_2_3",
        {"text2video": "video", "img2video": "video"},
    ),
    *_guessed(
        "enterprise_pony", f"{_ENTERPRISE_URL}/pony", {"text2img": "image", "img2img": "image"}
    ),
)

SERVED_ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType(
    {row.name: row for row in _GUESSED} | dict(ENDPOINTS)
)
"""The endpoints that the emulator serves by default."""

SECOND_SUBMIT_PATHS: Mapping[str, str] = MappingProxyType(
    {
        f"enterprise_text_to_image/{name}": f"{_ENTERPRISE_URL}/images/{name}"
        for name in ("text2img", "img2img", "inpaint", "controlnet")
    }
)
"""Paths that the official clients use instead of the documented ones, keyed by endpoint name."""

FAMILY_BY_DEPLOY_TYPE: Mapping[tuple[str, str], str] = MappingProxyType(
    {("enterprise_flux", "flux_2_dev"): "enterprise_flux_2_dev"}
)
"""The family of a submit, keyed by the family of its endpoint and its field `deploy_type`."""

FETCH_RESULT_FAMILY: Mapping[str, str] = MappingProxyType(
    {
        "voice/speech_to_text": "whisper",
        "enterprise_voice/speech_to_text": "whisper",
        "enterprise_image_to_video_ultra/img2video": "video",
        "legacy_v4_dreambooth/dreambooth": "legacy_v3_dreambooth",
        "legacy_v4_dreambooth/img2img": "legacy_v3_dreambooth",
        "legacy_v4_dreambooth/inpaint": "legacy_v3_dreambooth",
    }
)
"""The family in the URL `fetch_result`, for job types where it is not the family of the ticket."""

_SUFFIXES: Mapping[str, str] = {
    **{
        f"{family}/{name}": "jpg"
        for family in ("faceswap", "deepfake", "enterprise_faceswap", "enterprise_deepfake")
        for name in ("multiple_face_swap", "single_face_swap")
    },
    "enterprise_video/text2video": "gif",
    "enterprise_video/img2video": "gif",
    "three_d/text_to_3d": "glb",
    "legacy_v3/txt_to_3d": "gif",
    "legacy_v3/img_to_3d": "gif",
}


# The file types that a submit can ask for, keyed by medium.
_ASKED_SUFFIXES: Mapping[Medium, frozenset[str]] = {
    "image": frozenset({"png", "jpg", "webp"}),
    "video": frozenset({"mp4", "gif"}),
    "audio": frozenset({"wav", "mp3", "flac"}),
    "text": frozenset(),
    "3d": frozenset({"obj", "glb", "stl", "fbx", "ply", "gif"}),
}
_OTHER_SPELLINGS = {"jpeg": "jpg"}


def suffix_of(endpoint: Endpoint, family: Family, fields: Mapping[str, Any]) -> str:
    """
    Return the file type of the results of a submit.

    The submit's `output_format` or `output_type` decides, if the emulator can make that file type.
    If not, the endpoint or its family decides.
    """
    medium = (endpoint.output or family.output or ("image",))[0]
    for name in ("output_format", "output_type"):
        asked = str(fields.get(name)).lower()
        asked = _OTHER_SPELLINGS.get(asked, asked)
        if asked in _ASKED_SUFFIXES[medium]:
            return asked
    if endpoint.name in _SUFFIXES:
        return _SUFFIXES[endpoint.name]
    if endpoint.output and endpoint.output[0] != family.output[0]:
        return DEFAULT_SUFFIXES[endpoint.output[0]]
    return default_suffix(endpoint.name, family.output)


def family_name_of(endpoint: Endpoint) -> str:
    """Return the family name at the start of an endpoint's name, such as `voice` of `voice/sfx`."""
    return endpoint.name.partition("/")[0]


def endpoints_of(families: Iterable[str], endpoints: Mapping[str, Endpoint]) -> list[Endpoint]:
    """
    Select the endpoints of these families.

    For an endpoint that starts jobs, the family of these jobs decides. For any other endpoint, the
    family in its name decides. Endpoints of `general` that start no job are always selected.
    """
    wanted = set(families)
    return [
        endpoint
        for endpoint in endpoints.values()
        if endpoint.resolved_by in wanted
        or (endpoint.resolved_by is None and family_name_of(endpoint) in {"general", *wanted})
    ]
