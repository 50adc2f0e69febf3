"""Endpoints that make no ticket, because the reply is already the result."""

from typing import Any

from ..endpoint import Endpoint

_DOCS = "https://docs.modelslab.com/"
_EXPIRY_NOTE = "The link in the reply expires after 24 hours."


def _utility(name: str, path: str, page: str, params: str = "", **overrides: Any) -> Endpoint:
    # By default, a utility is not `repeatable`, because a second call may cost money again.
    return Endpoint(
        name=name,
        url=f"{{base}}/{path}",
        resolved_by=None,
        required=tuple(params.split()),
        doc=_DOCS + page,
        **overrides,
    )


def _upload(family: str, path_prefix: str, field: str, docs: str) -> Endpoint:
    return _utility(
        f"{family}/base64_to_url",
        f"v6/{path_prefix}base64_to_url",
        f"{docs}/base64-to-url",
        field,
        note=_EXPIRY_NOTE,
    )


ROWS = (
    _utility(
        "general/request_count",
        "v6/processing/request_count",
        "general-api/check-requests",
        repeatable=True,
    ),
    _utility(
        "general/wallet_balance", "wallet_balance", "general-api/wallet-balance", repeatable=True
    ),
    _utility(
        "general/model_list",
        "v4/dreambooth/model_list",
        "image-generation/model-operation/model-list",
        repeatable=True,
        note="The service replies with a JSON array. `Client.ask` returns it in the field `data`.",
    ),
    _utility("general/base64_crop", "v3/base64_crop", "general-api/base64-crop", "image crop"),
    _utility(
        "general/nsfw_image_check",
        "v3/nsfw_image_check",
        "general-api/nsfw-image-check",
        "init_image",
        optional=("threshold",),
    ),
    _utility(
        "general/clear_queue",
        "v1/enterprise/{server}/clear_queue",
        "enterprise-api/realtime/clear-queue",
        "server",
        optional=("deploy_type",),
        tier="enterprise",
        note="The endpoint clears the queue of an enterprise server such as `realtime` or `flux`, "
        "and restarts the server. Queued work is lost.",
    ),
    _utility(
        "voice/voice_list",
        "v6/voice/voice_list",
        "voice-cloning/voice-list",
        optional=("type",),
        repeatable=True,
    ),
    _utility(
        "voice/voice_upload",
        "v6/voice/voice_upload",
        "voice-cloning/upload-voice",
        "name init_audio language",
        optional=("base64", "gender", "thumbnail"),
    ),
    _utility(
        "enterprise_voice/voice_upload",
        "v1/enterprise/voice/voice_upload",
        "enterprise-api/voice-cloning/voice-upload",
        "name init_audio",
        optional=("language",),
        tier="enterprise",
    ),
    _utility(
        "enterprise_text_to_image/nsfw_image_check",
        "v1/enterprise/nsfw_image_check",
        "enterprise-api/text-to-image/nsfw-image-check",
        "init_image",
        tier="enterprise",
    ),
    _upload("general", "", "base64_string", "general-api"),
    _upload("image_editing", "image_editing/", "init_image", "image-editing"),
    _upload("video", "video/", "init_obj", "video-api"),
    _upload("voice", "voice/", "init_audio", "voice-cloning"),
    _upload("three_d", "3d/", "init_obj", "3d-api"),
)
