"""Endpoints that make no ticket: their reply is already the result."""

from ..endpoint import Endpoint

_DOCS = "https://docs.modelslab.com/"
_EXPIRY_NOTE = "The link that it returns expires after 24 hours."


def _query(name: str, path: str) -> Endpoint:
    page = {"request_count": "check-requests"}.get(name, name.replace("_", "-"))
    return Endpoint(
        name=f"general/{name}",
        url=f"{{base}}/{path}",
        resolved_by=None,
        repeatable=True,
        doc=f"{_DOCS}general-api/{page}",
    )


def _upload(family: str, path_prefix: str, field: str, docs: str) -> Endpoint:
    # Not repeatable, because each upload stores another file and the price is not documented.
    return Endpoint(
        name=f"{family}/base64_to_url",
        url=f"{{base}}/v6/{path_prefix}base64_to_url",
        resolved_by=None,
        required=(field,),
        doc=f"{_DOCS}{docs}/base64-to-url",
        note=_EXPIRY_NOTE,
    )


ROWS = (
    _query("request_count", "v6/processing/request_count"),
    _query("wallet_balance", "wallet_balance"),
    _upload("general", "", "base64_string", "general-api"),
    _upload("image_editing", "image_editing/", "init_image", "image-editing"),
    _upload("video", "video/", "init_obj", "video-api"),
    _upload("voice", "voice/", "init_audio", "voice-cloning"),
    _upload("three_d", "3d/", "init_obj", "3d-api"),
)
