"""
Refusals, failures and server trouble, told apart by the server's message.

Each confusion has a price. A failed job taken for a refusal of the key ends every other ticket.
Server trouble taken for a failure loses a result. A refusal taken for trouble is retried for long.
"""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import (
    AuthenticationError,
    Failed,
    InvalidRequest,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    Refused,
    ServerError,
    Success,
    Ticket,
    UnreadableReply,
    read_reply,
)
from modelslab_async._parsing.status import is_known_status

# Generous, for slow machines and coverage. Quadratic time would take minutes.
MAX_SECONDS = 15.0


def kind_of_reply(status, message, *, status_code=200, family="images", **more):
    """The reason of a failure, or the class of any other reply or error."""
    body = {"status": status, "message": message, **more}
    if status is None:
        del body["status"]
    try:
        reply = read_reply(
            Ticket(family, 1), status_code=status_code, body=json.dumps(body).encode()
        )
    except ModelsLabError as error:
        return type(error)
    return reply.reason if isinstance(reply, Failed) else type(reply)


@pytest.mark.parametrize("status", ["error", "failed", "Error"])
@pytest.mark.parametrize(
    "message",
    [
        "Unable to download init_image: 429 Too Many Requests",
        "Failed to fetch https://example.com/cat.png: too many requests",
        "Could not download the image: rate limit exceeded at its host",
        "Unable to fetch image from provided URL: 503 Service Unavailable",
        "Upstream answered 500: Internal Server Error",
        "Unauthorized access to the init_image url",
        "Unauthorized: could not read init_image",
        "Error calling the provider: invalid api key",
        "Incorrect API key provided: sk-1***9.",
        "API key not valid. Please pass a valid API key.",
        "Could not read audio: access requires a subscription",
        "Floor planning requires a floor plan image",
        "This endpoint requires a plan image",
        "The floor plan has ended abruptly",
        "Payment required at the url of the mask",
        "The white balance is out of balance",
        "Prompt contains the forbidden words api key required",
        "No balance between the colours was found",
        "No credits shown in the video",
        "Invalid key 'strength' in lora weights",
        "Model not found: flux-9",
        "Model id not found",
        "Voice id not found",
        "Image generation failed: face not found",
        "Job failed: file not found",
        "No training images provided",
        "NSFW content detected, generation rejected",
        "Processing failed: Invalid input dimensions",
        "The prompt field is required.",
        "CUDA out of memory",
        "Failed, Try Again",
        "Try Again",
    ],
)
def test_failure_message_is_no_refusal(status, message):
    """A failed job stays failed, whatever words its message contains."""
    assert "failed" == kind_of_reply(status, message)


ACCOUNT = {
    AuthenticationError: [
        "Invalid API key",
        "Invalid Api Key.",
        "invalid api_key",
        "Invalid API Key provided",
        "Invalid API key or subscription expired",
        "Your API key is invalid",
        "The API key you provided is invalid",
        "The provided API key is not valid",
        "API key required",
        "The api_key field is required.",
        "The key field is required.",
        "Missing API key",
        "API key not found",
        "Your API key has been revoked",
        "Please provide a valid API key",
        "Access denied. Invalid API key.",
        "Error: Invalid API key",
        "Authentication failed: API key expired",
        "Unauthenticated.",
        "Unauthorized",
        "Unauthorized access!",
    ],
    PaymentRequired: [
        "Insufficient credits. Please add credits to your account.",
        "Insufficient wallet balance",
        "Not enough credits",
        "You don't have enough credits",
        "You don\u2019t have sufficient balance",
        "You have no credits.",
        "No credits left",
        "You have run out of credits",
        "Your credits are exhausted",
        "Your subscription has expired",
        "Your plan is expired",
        "You do not have an active subscription",
        "No active plan",
        "Please fund your wallet",
        "Please subscribe to a plan to use the API",
        "Request denied. Please recharge your wallet.",
        "Payment Required",
    ],
}


@pytest.mark.parametrize("status", ["error", "failed", None])
@pytest.mark.parametrize(
    ("kind", "message"),
    [(kind, message) for kind, messages in ACCOUNT.items() for message in messages],
)
def test_account_refusal_is_recognised_by_its_message(kind, message, status):
    """The key and the credits are refused under any status of failure."""
    assert kind is kind_of_reply(status, message)
    assert kind is kind_of_reply(status, message, status_code=400)


OTHER_REFUSALS = {
    RateLimited: [
        "Rate limit exceeded",
        "Rate limit exceeded. Please upgrade your plan.",
        "API rate limit reached",
        "You have exceeded your rate limit",
        "You are being rate limited",
        "Too many requests",
        "Too Many Attempts.",
        "You have sent too many requests, try later",
        "You have reached the maximum number of queued requests",
        "you are sending same request multiple times, spam filter is enabled",
    ],
    PermissionDenied: [
        "This feature requires a premium subscription",
        "This endpoint requires an enterprise plan",
        "This model is not available on your current plan",
        "This endpoint is only available for enterprise customers",
        "Your plan does not include this feature",
        "Please upgrade your plan",
    ],
    InvalidRequest: ["Invalid API Request", "The request_id field is required."],
    ServerError: [
        "Internal server error. Please try again.",
        "Internal Server Error",
        "Service temporarily unavailable. Please try again later.",
        "The service is currently unavailable",
        "Server is busy, try again later",
        "Server is overloaded",
        "Bad Gateway",
    ],
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [(kind, message) for kind, messages in OTHER_REFUSALS.items() for message in messages],
)
def test_other_refusals_need_status_error_or_none(kind, message):
    """A job that `failed` was accepted before, so its message is no refusal."""
    assert kind is kind_of_reply("error", message)
    assert kind is kind_of_reply(None, message)
    assert "failed" == kind_of_reply("failed", message)


def test_tips_are_searched_only_without_a_message():
    """An advertisement beside a message decides nothing."""
    assert "failed" == kind_of_reply("error", "Model not found.", tips="Please upgrade your plan")
    assert RateLimited is kind_of_reply(
        "error", "", tips="you are too fast, spam filter is enabled"
    )


@pytest.mark.parametrize(
    "message",
    [
        "Request not found",
        "Request Not Found!",
        "The request was not found",
        "Request 123 not found",
        "Request with id 12-ab not found",
        "Request id does not exist",
        "No request found with this id",
        "No such request",
        "Invalid request id",
        "Execution not found",
        "Training not found",
        "Job unknown",
        "ID not found",
    ],
)
@pytest.mark.parametrize("status", ["error", "failed"])
@pytest.mark.parametrize("status_code", [200, 400, 404, 410, 422])
def test_unknown_id_is_recognised_by_its_message(message, status, status_code):
    """It has its own reason, since the service may not know a new id yet."""
    assert "not_found" == kind_of_reply(status, message, status_code=status_code)


def test_unknown_id_without_a_status_word_needs_http_404():
    """The message alone is not enough."""
    assert "not_found" == kind_of_reply(None, "Request not found", status_code=404)
    assert UnreadableReply is kind_of_reply(None, "Request not found")


@pytest.mark.parametrize("stage", ["Model Ready", "model_ready", " MODEL_READY "])
def test_training_stage_ignores_case_and_blanks(stage):
    """Capitals and blanks make no other stage."""
    assert Success is kind_of_reply("success", stage, family="training")
    assert "failed" == kind_of_reply("success", "Training failed", family="training")
    assert Processing is kind_of_reply("success", "Training Started", family="training")


def test_training_stage_counts_only_in_a_success():
    """Any other outer status decides by itself."""
    assert "failed" == kind_of_reply("failed", "The GPU was lost", family="training")
    assert "failed" == kind_of_reply("error", "model_ready", family="training")
    assert Processing is kind_of_reply("processing", "model_ready", family="training")
    assert Processing is kind_of_reply("success", "success", family="training")


@pytest.mark.parametrize(
    ("word", "rule", "known"),
    [
        ("processing", "generation", True),
        ("in progress", "generation", True),
        ("model_ready", "generation", False),
        ("model ready", "training", True),
        ("completed", "workflow", True),
        ("pondering", "workflow", False),
    ],
)
def test_unknown_status_word_is_recognised(word, rule, known):
    """The client logs an unknown word once; it is not terminal."""
    assert known is is_known_status(word, rule)


@pytest.mark.parametrize("status", ["success", "processing", "queued"])
@pytest.mark.parametrize("status_code", [400, 404, 409, 422])
def test_running_or_done_body_with_error_status_is_unreadable(status, status_code):
    """The HTTP status and the body contradict each other, so the poller polls again."""
    assert UnreadableReply is kind_of_reply(status, "", status_code=status_code)


def test_refusal_phrase_after_the_start_does_not_count():
    """A long text that mentions a refusal later is none."""
    assert "failed" == kind_of_reply("failed", "It went wrong. " * 50 + "Invalid API key")


@given(
    message=st.lists(
        st.sampled_from(
            ["api key", "invalid", "credits", "no", ". ", "! ", "requires a", "plan", " ", ":", "x"]
        ),
        max_size=30,
    ).map("".join),
    status=st.sampled_from(["processing", "success", "queued"]),
)
def test_message_of_a_running_job_is_never_a_refusal(message, status):
    """Only a failure, or no status at all, is searched for a refusal."""
    assert kind_of_reply(status, message) in (Processing, Success)


@pytest.mark.parametrize(
    "message",
    [
        "a" * 1_000_000,
        "! " * 500_000,
        "." + " " * 1_000_000,
        "error" + " " * 1_000_000,
        "this " * 200_000,
        "request " * 100_000,
        "api key " * 100_000,
        "payment required" + "!" * 1_000_000,
        "wait " * 200_000 + "1",
    ],
    ids=lambda message: message[:12],
)
def test_long_message_is_searched_in_linear_time(message):
    """The time does not grow faster than the length of the message."""
    began = time.process_time()
    assert kind_of_reply("error", message) in ("failed", AuthenticationError, PaymentRequired)
    assert time.process_time() - began < MAX_SECONDS


@pytest.mark.parametrize("status_code", [401, 402, 403])
def test_firewall_page_is_no_refusal_of_the_key(status_code):
    """A page of HTML is unreadable; JSON, plain text and empty bodies are refusals."""
    page = b"\xef\xbb\xbf\n<!DOCTYPE html><title>Just a moment...</title>"
    with pytest.raises(UnreadableReply) as caught:
        read_reply(Ticket("images", 1), status_code=status_code, body=page)
    assert status_code == caught.value.status_code
    for body in (b"", b" \n", b"{}", b'{"message":"<b>no</b>"}', b'"no"', b"no"):
        with pytest.raises(Refused):
            read_reply(Ticket("images", 1), status_code=status_code, body=body)
