"""Wording: the service's own sentences, and the bodies that every family shares."""

import json
from typing import Any

UPSELL = (
    "Get 20x faster image generation using enterprise plan. Click here : "
    "https://modelslab.com/enterprise"
)
HOW = (
    "Your image is processing in background, you can get this image using fetch API: here is link "
    "for fetch api : https://docs.modelslab.com/image-generation/community-models/"
    "dreamboothfetchqueimg"
)
WAIT = "Try to fetch request after seconds estimated"
LATER = "try again later."
QUEUED = "Request has been queued"
NO_KEY = "API key required"
BAD_KEY = "Invalid API key"
NO_CREDITS = "Insufficient credits. Please add credits to your account."
NO_ID = "The request_id field is required."
NO_RUN = "Execution not found"
NO_TRAINING = "Training not found"
TRAINING_FAILED = "Training failed"
PROCESSING_FAILED = "Processing failed: Invalid input dimensions"
TRAINING_LOG = "it will take upto 25 minutes"
RUN_FAILED = "Image generation failed: Invalid prompt"
_RETRY_AFTER = 30
_SPAM = (
    "you are sending same request multiple times, spam filter is enabled, please wait for 30 "
    "seconds and try again"
)

_THINGS = {"wav": "audio", "mp4": "video", "gif": "video", "txt": "transcription"}
_MODELS = ("obj", "glb")


def in_background(suffix: str) -> str:
    """The hint of a submit reply, which names what is being made."""
    if suffix in _MODELS:
        return "Your 3D model is processing in background, you can get this model using fetch API"
    thing = _THINGS.get(suffix, "image")
    return f"Your {thing} is processing in background, you can get this {thing} using fetch API"


def refusal(text: str, *, spelled: str = "message", **more: object) -> dict[str, Any]:
    """The body of a refusal."""
    return {"status": "error", spelled: text, **more}


def required(name: str) -> str:
    """What is said where a parameter is missing."""
    return f"{name} is required"


def spam(*, spelled: str) -> dict[str, Any]:
    """The body for a submit that repeats another. It comes under 200, and its wait is in words."""
    return refusal("Rate limit exceeded", spelled=spelled, tips=_SPAM)


def queue_full(limit: int, *, spelled: str) -> dict[str, Any]:
    """The body of a 429. The wait stands in the body; no header was ever seen."""
    text = f"Rate limit exceeded. Maximum {limit} queued requests allowed."
    return refusal(text, spelled=spelled, retry_after=_RETRY_AFTER)


def encode(body: object) -> bytes:
    """JSON as the service writes it: compact, ASCII, with escaped slashes."""
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


FAILED = {"status": "failed", "id": "", "message": "Failed, Try Again", "output": ""}
NOT_FOUND = {
    "status": "failed",
    "id": "",
    "message": "Request not found",
    "output": "",
    "tip": UPSELL,
}
UNREADABLE = {"status": "error", "message": "Invalid API Request", "tip": UPSELL}
SERVER_ERROR = {"message": "Server Error"}
