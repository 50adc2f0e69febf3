"""
FAMILIES: every API family whose tickets can be polled.

Left out on purpose: chat (it answers at once), `v6/fashion` (a mistake in an old page),
`v6/ai_agent` (the service has removed it) and the MCP tools (not REST).
"""

from types import MappingProxyType
from typing import Any

from .family import Family, Medium

_DOCS = "https://docs.modelslab.com/"
_OLD_DOCS = "https://stablediffusionapi.com/docs/"

_IMAGE: tuple[Medium, ...] = ("image",)
_VIDEO: tuple[Medium, ...] = ("video",)
_AUDIO: tuple[Medium, ...] = ("audio",)
_IMAGE_VIDEO: tuple[Medium, ...] = ("image", "video")
_AUDIO_VIDEO_TEXT: tuple[Medium, ...] = ("audio", "video", "text")
_TEXT: tuple[Medium, ...] = ("text",)
_THREE_D: tuple[Medium, ...] = ("3d",)

_OLD_NAME_NOTE = "An older name of faceswap. SDKs and older fetch_result links still use it."
_NO_PAGE_NOTE = "The documentation has no fetch page. The URL is a guess from similar families."


def unverified_note(source: str) -> str:
    """
    Return the note of a family or endpoint that no documentation page describes.

    Args:
        source: A sentence that says which client uses the family or endpoint.
    """
    return f"Unverified: the documentation does not describe it. {source}"


def _standard(
    name: str, path: str, output: tuple[Medium, ...], page: str, **overrides: Any
) -> Family:
    return Family(name=name, url=f"{{base}}/{path}", output=output, doc=_DOCS + page, **overrides)


def _legacy(
    name: str, path: str, output: tuple[Medium, ...], page: str, **overrides: Any
) -> Family:
    return Family(
        name=name, url=f"{{legacy}}/{path}", output=output, doc=_OLD_DOCS + page, **overrides
    )


def _enterprise(
    name: str, path: str, output: tuple[Medium, ...], page: str, **overrides: Any
) -> Family:
    return _standard(
        f"enterprise_{name}",
        f"v1/enterprise/{path}",
        output,
        f"enterprise-api/{page}",
        tier="enterprise",
        **overrides,
    )


_ROWS = (
    _standard(
        "images",
        "v6/images/fetch",
        _IMAGE,
        "image-generation/community-models/dreambooth-fetch-queue-image",
        id_field="request_id",
        note="Tickets of v5/controlnet also belong to this family.",
    ),
    _standard(
        "realtime",
        "v6/realtime/fetch/{id}",
        _IMAGE,
        "image-generation/realtime-stable-diffusion/fetchimage",
    ),
    _standard(
        "image_editing",
        "v6/image_editing/fetch/{id}",
        ("image", "text"),
        "image-editing/fetchimage",
    ),
    _standard("interior", "v6/interior/fetch/{id}", _IMAGE, "interior-api/fetch"),
    _standard("video", "v6/video/fetch/{id}", _VIDEO, "video-api/fetch-video"),
    _standard("voice", "v6/voice/fetch/{id}", _AUDIO_VIDEO_TEXT, "voice-cloning/fetch-voice"),
    _standard(
        "whisper",
        "v6/whisper/fetch/{id}",
        _TEXT,
        "voice-cloning/speech-to-text",
        note="Only the fetch_result of transcriptions names this family.",
    ),
    _standard("three_d", "v6/3d/fetch/{id}", _THREE_D, "3d-api/fetch"),
    _standard("faceswap", "v6/faceswap/fetch/{id}", _IMAGE_VIDEO, "faceswap-api/fetch"),
    _standard(
        "deepfake",
        "v6/deepfake/fetch/{id}",
        _IMAGE_VIDEO,
        "faceswap-api/fetch",
        note=_OLD_NAME_NOTE,
    ),
    _standard(
        "controlnet_v5",
        "v5/images/fetch/{id}",
        _IMAGE,
        "image-generation/controlnet",
        method="GET",
        key_in="query",
        note="Uncertain: its page mentions no API key. The service's fetch_result names `images`.",
    ),
    _standard(
        "training",
        "v3/fine_tune_status/{id}",
        (),
        "image-generation/train-model/finetune-status",
        status="training",
        note="The id is the training_id. A finished training has no files.",
    ),
    _standard("v7_images", "v7/images/fetch/{id}", _IMAGE, "mcp-web-api/tools-reference"),
    _standard(
        "v7_video_fusion",
        "v7/video-fusion/fetch/{id}",
        _VIDEO,
        "guides/model-selection",
    ),
    _standard(
        "v7_voice",
        "v7/voice/fetch/{id}",
        ("audio", "text"),
        "mcp-web-api/tools-reference",
    ),
    Family(
        name="v8_images",
        url="{base}/v8/images/fetch/{id}",
        note=unverified_note("Public clients of the service use this family."),
    ),
    _standard(
        "workflows",
        "v1/workflows/{workflow_id}/runs/{id}",
        _IMAGE_VIDEO,
        "workflows-api/get-execution-status",
        method="GET",
        key_in="header",
        status="workflow",
        note="An id is the workflow's id, a slash and the run's id: `wf_1/12345`.",
    ),
    _legacy(
        "legacy_v4_dreambooth",
        "v4/dreambooth/fetch",
        _IMAGE,
        "community-models-api-v4/dreamboothfetchqueimg",
        id_field="request_id",
    ),
    _legacy(
        "legacy_v3_dreambooth",
        "v3/dreambooth/fetch/{id}",
        _IMAGE,
        "category/community-models-api",
        note="The fetch_result of v4 submits also names this family.",
    ),
    _legacy(
        "legacy_v3",
        "v3/fetch/{id}",
        ("image", "video", "3d"),
        "category/stable-diffusion-api",
        note="Tickets of v5/text2video also belong to this family.",
    ),
    _enterprise(
        "text_to_image",
        "fetch",
        _IMAGE,
        "text-to-image/fetch-queue-image",
        id_field="request_id",
    ),
    _enterprise("realtime", "realtime/fetch/{id}", _IMAGE, "realtime/fetchimage"),
    _enterprise(
        "image_editing",
        "image_editing/fetch/{id}",
        ("image", "text"),
        "image-editing/fetchimage",
    ),
    _enterprise("interior", "interior/fetch/{id}", _IMAGE, "interior/fetch"),
    _enterprise("three_d", "3d/fetch/{id}", _THREE_D, "3d-api/fetch"),
    _enterprise("face_gen", "face_gen/fetch/{id}", _IMAGE, "face-gen/fetch"),
    _enterprise("faceswap", "faceswap/fetch/{id}", _IMAGE_VIDEO, "faceswap/fetch"),
    _enterprise(
        "deepfake",
        "deepfake/fetch/{id}",
        _IMAGE_VIDEO,
        "faceswap/fetch",
        note=_OLD_NAME_NOTE,
    ),
    _enterprise("flux", "flux/fetch/{id}", _IMAGE, "flux/fetch"),
    _enterprise(
        "flux_2_dev",
        "flux/fetch/{id}",
        _IMAGE,
        "flux-2-dev/fetch",
        note="Its URL is that of enterprise_flux.",
    ),
    _enterprise("flux_klein", "flux_klein/fetch/{id}", _IMAGE, "flux-klein/fetch"),
    _enterprise("flux_headshot", "flux_headshot/fetch/{id}", _IMAGE, "flux-headshot/fetch"),
    _enterprise(
        "flux_kontext_dev",
        "flux_kontext_dev/fetch/{id}",
        _IMAGE,
        "flux-kontext-dev/fetch-image",
    ),
    _enterprise("qwen", "qwen/fetch/{id}", _IMAGE, "qwen/fetch"),
    _enterprise("z_image_turbo", "z_image_turbo/fetch/{id}", _IMAGE, "z-image-turbo/fetch"),
    _enterprise(
        "super_resolution",
        "super_resolution/fetch/{id}",
        _IMAGE,
        "super-resolution/fetchimage",
    ),
    _enterprise(
        "text_to_speech",
        "text_to_speech/fetch/{id}",
        _AUDIO,
        "text-to-speech/fetch-audio",
    ),
    _enterprise("speech_to_text", "speech_to_text/fetch/{id}", _TEXT, "speech-to-text/fetch-audio"),
    _enterprise(
        "image_to_video_ultra",
        "image_to_video_ultra/fetch/{id}",
        _VIDEO,
        "image-to-video-ultra/fetchvideo",
        note="If fetch_result in the reply to the submit names v6/video, use the family `video`.",
    ),
    _enterprise("ultra_video", "ultra_video/fetch/{id}", _VIDEO, "text-to-video-ultra/fetch-video"),
    _enterprise("video", "video/fetch/{id}", _VIDEO, "video/fetch-video"),
    _enterprise("voice", "voice/fetch/{id}", _AUDIO_VIDEO_TEXT, "voice-cloning/fetch"),
    _enterprise("nano_banana", "nano_banana/fetch/{id}", _IMAGE, "nano-banana/fetch"),
    _enterprise("qwen_edit_2_1", "qwen_edit_2_1/fetch/{id}", _IMAGE, "qwen-2-1/fetch"),
    _enterprise("minimax_h3", "minimax_h3/fetch/{id}", _VIDEO, "minimax-h3/fetch"),
    _enterprise("ltx_2_3", "ltx_2_3/fetch/{id}", _VIDEO, "ltx-2-3/overview", note=_NO_PAGE_NOTE),
    _enterprise("pony", "pony/fetch/{id}", _IMAGE, "pony-model", note=_NO_PAGE_NOTE),
)

FAMILIES: MappingProxyType[str, Family] = MappingProxyType({row.name: row for row in _ROWS})
"""Every family by its name. Read-only: add to it with `FAMILIES | {"name": Family(...)}`."""
