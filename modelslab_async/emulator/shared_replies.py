"""The service's messages, and the reply bodies that all families share."""

import json
from typing import Any

UPSELL = (
    "Get 20x faster image generation using enterprise plan. Click here : "
    "https://modelslab.com/enterprise"
)
FETCH_HOW_TO = (
    "Your image is processing in background, you can get this image using fetch API: here is link "
    "for fetch api : https://docs.modelslab.com/image-generation/community-models/"
    "dreamboothfetchqueimg"
)
WAIT_FOR_ETA = "Try to fetch request after seconds estimated"
TRY_LATER = "try again later."
REQUEST_QUEUED = "Request has been queued"
KEY_REQUIRED = "API key required"
INVALID_KEY = "Invalid API key"
NO_CREDITS = "Insufficient credits. Please add credits to your account."
ID_REQUIRED = "The request_id field is required."
EXECUTION_NOT_FOUND = "Execution not found"
TRAINING_NOT_FOUND = "Training not found"
TRAINING_FAILED = "Training failed"
PROCESSING_FAILED = "Processing failed: Invalid input dimensions"
TRAINING_LOG = "it will take upto 25 minutes"
EXECUTION_FAILED = "Image generation failed: Invalid prompt"
_RETRY_AFTER_S = 30
_SPAM_FILTER_TIP = (
    "you are sending same request multiple times, spam filter is enabled, please wait for 30 "
    "seconds and try again"
)

_MEDIA_WORDS = {
    "wav": "audio",
    "mp3": "audio",
    "flac": "audio",
    "mp4": "video",
    "gif": "video",
    "txt": "transcription",
}
_MODEL_3D_SUFFIXES = ("obj", "glb", "stl", "fbx", "ply")


def background_tip(suffix: str) -> str:
    """Return the message for an image, a video or another file that is not ready yet."""
    if suffix in _MODEL_3D_SUFFIXES:
        return "Your 3D model is processing in background, you can get this model using fetch API"
    media_word = _MEDIA_WORDS.get(suffix, "image")
    return (
        f"Your {media_word} is processing in background, "
        f"you can get this {media_word} using fetch API"
    )


def refusal(text: str, *, message_field: str = "message", **extra: object) -> dict[str, Any]:
    """Return the reply body that refuses a request with this message."""
    return {"status": "error", message_field: text, **extra}


def required(name: str) -> str:
    """Return the message that says which required parameter is missing."""
    return f"{name} is required"


def spam_refusal(*, message_field: str) -> dict[str, Any]:
    """Return the spam filter's reply to a repeated submit. The service sends it with status 200."""
    return refusal("Rate limit exceeded", message_field=message_field, tips=_SPAM_FILTER_TIP)


def queue_full_refusal(limit: int, *, message_field: str) -> dict[str, Any]:
    """Return the body of a 429. The service puts `retry_after` in the body, not in a header."""
    text = f"Rate limit exceeded. Maximum {limit} queued requests allowed."
    return refusal(text, message_field=message_field, retry_after=_RETRY_AFTER_S)


def encode(body: object) -> bytes:
    """Encode JSON as the service does: compact, ASCII, with escaped slashes."""
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


def html_page(title: str) -> bytes:
    """Return an HTML page like those that a proxy sends in place of a reply or a file."""
    return (
        f"<!doctype html><html><head><title>{title}</title></head>"
        f"<body><h1>{title}</h1></body></html>"
    ).encode()


FAILED = {"status": "failed", "id": "", "message": "Failed, Try Again", "output": ""}
NOT_FOUND = {
    "status": "failed",
    "id": "",
    "message": "Request not found",
    "output": "",
    "tip": UPSELL,
}
INVALID_REQUEST = {"status": "error", "message": "Invalid API Request", "tip": UPSELL}
SERVER_ERROR = {"message": "Server Error"}
