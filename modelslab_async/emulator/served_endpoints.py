"""Endpoints: where the emulator takes work: at all that the package knows, and at a few more."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.endpoints import ENDPOINTS
from modelslab_async._registry.families import FAMILIES
from modelslab_async._registry.family import Family, Medium

from .family_formats import USUAL, usual_suffix

_ENTERPRISE = "{base}/v1/enterprise"
_SWAPS: Mapping[str, Medium] = {
    "multiple_face_swap": "image",
    "single_face_swap": "image",
    "single_video_swap": "video",
    "specific_video_swap": "video",
}


def _undescribed(family: str, root: str, media: Mapping[str, Medium]) -> Iterator[Endpoint]:
    for name, medium in media.items():
        yield Endpoint(
            name=f"{family}/{name}",
            url=f"{root}/{name}",
            resolved_by=family,
            tier=FAMILIES[family].tier,
            output=(medium,),
            any_names=True,
        )


# No submit page was seen for these; their names follow their siblings or older clients, and
# nothing is known to be required.
_UNDESCRIBED = (
    *_undescribed("legacy_v3", "{legacy}/v5", {"text2video": "video"}),
    *_undescribed("enterprise_deepfake", f"{_ENTERPRISE}/deepfake", _SWAPS),
    *_undescribed(
        "enterprise_voice",
        f"{_ENTERPRISE}/voice",
        {
            "text_to_speech": "audio",
            "song_generator": "audio",
            "create_dubbing": "video",
            "lyrics_generator": "text",
        },
    ),
    *_undescribed(
        "enterprise_nano_banana",
        f"{_ENTERPRISE}/nano_banana",
        {"text2img": "image", "img2img": "image"},
    ),
    *_undescribed("enterprise_qwen_edit_2_1", f"{_ENTERPRISE}/qwen_edit_2_1", {"img2img": "image"}),
    *_undescribed(
        "enterprise_minimax_h3",
        f"{_ENTERPRISE}/minimax_h3",
        {"text2video": "video", "img2video": "video"},
    ),
    *_undescribed(
        "enterprise_ltx_2_3",
        f"{_ENTERPRISE}/ltx_2_3",
        {"text2video": "video", "img2video": "video"},
    ),
    *_undescribed(
        "enterprise_pony", f"{_ENTERPRISE}/pony", {"text2img": "image", "img2img": "image"}
    ),
)

SERVED: Mapping[str, Endpoint] = MappingProxyType(
    {row.name: row for row in _UNDESCRIBED} | dict(ENDPOINTS)
)
"""What the emulator serves unless it is told otherwise."""

SUBMITTED_ALSO_AT: Mapping[str, str] = MappingProxyType(
    {
        f"enterprise_text_to_image/{name}": f"{_ENTERPRISE}/images/{name}"
        for name in ("text2img", "img2img", "inpaint", "controlnet")
    }
)
"""Second paths: the official clients of this family put `images` in, the documents do not."""

DEPLOYED_AS: Mapping[tuple[str, str], str] = MappingProxyType(
    {("enterprise_flux", "flux_2_dev"): "enterprise_flux_2_dev"}
)
"""Families that share the paths of another one and are told apart by the field `deploy_type`."""

NAMED_FETCH: Mapping[str, str] = MappingProxyType(
    {
        "voice/speech_to_text": "whisper",
        "enterprise_voice/speech_to_text": "whisper",
        "enterprise_image_to_video_ultra/img2video": "video",
        "legacy_v4_dreambooth/dreambooth": "legacy_v3_dreambooth",
        "legacy_v4_dreambooth/img2img": "legacy_v3_dreambooth",
        "legacy_v4_dreambooth/inpaint": "legacy_v3_dreambooth",
    }
)
"""Work whose `fetch_result` was seen to name another family than that of its tickets."""

_SUFFIXES: Mapping[str, str] = {
    **{
        f"{family}/{name}": "jpg"
        for family in ("faceswap", "deepfake", "enterprise_faceswap", "enterprise_deepfake")
        for name in ("multiple_face_swap", "single_face_swap")
    },
    "enterprise_video/text2video": "gif",
    "enterprise_video/img2video": "gif",
    "three_d/text_to_3d": "glb",
}


def suffix_of(endpoint: Endpoint, family: Family) -> str:
    """The file type of what an endpoint makes, in a family that may make other things as well."""
    if endpoint.name in _SUFFIXES:
        return _SUFFIXES[endpoint.name]
    if endpoint.output and endpoint.output[0] != family.output[0]:
        return USUAL[endpoint.output[0]]
    return usual_suffix(endpoint.name, family.output)


def family_of(endpoint: Endpoint) -> str:
    """The family that an endpoint is named by."""
    return endpoint.name.partition("/")[0]


def served_by(families: Iterable[str], endpoints: Mapping[str, Endpoint]) -> list[Endpoint]:
    """Those whose tickets can be fetched from these families, and those that make no tickets."""
    wanted = set(families)
    return [
        endpoint
        for endpoint in endpoints.values()
        if endpoint.resolved_by in wanted
        or (endpoint.resolved_by is None and family_of(endpoint) in {"general", *wanted})
    ]
