"""
Verdicts: the service's own words decide who has to act, so a wrong reading hurts.

A job's own failure taken for a refusal of the key ends every other ticket; trouble of the server
taken for a failure loses a result; a refusal taken for trouble is asked about for ever.
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

# Generous, for slow machines and coverage; what grows with the square takes minutes.
PATIENCE = 15.0


def verdict(status, message, *, status_code=200, family="images", **more):
    """The kind of what is made of a message: a reply's or an error's."""
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
def test_what_a_job_died_of(status, message):
    """A job that failed has failed, whatever else its words call to mind."""
    assert "failed" == verdict(status, message)


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
    ("kind", "message"), [(kind, said) for kind, all_ in ACCOUNT.items() for said in all_]
)
def test_words_about_the_account(kind, message, status):
    """The key and the credits are refused by words alone, under any status of failure."""
    assert kind is verdict(status, message)
    assert kind is verdict(status, message, status_code=400)


DOOR = {
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
    ("kind", "message"), [(kind, said) for kind, all_ in DOOR.items() for said in all_]
)
def test_words_at_the_door(kind, message):
    """Other refusals and trouble are told by the status `error` or none; a job is past them."""
    assert kind is verdict("error", message)
    assert kind is verdict(None, message)
    assert "failed" == verdict("failed", message)


def test_a_hint_is_not_read_for_a_refusal():
    """Where there is a message, the upsell beside it decides nothing."""
    assert "failed" == verdict("error", "Model not found.", tips="Please upgrade your plan")
    assert RateLimited is verdict("error", "", tips="you are too fast, spam filter is enabled")


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
def test_words_about_the_id(message, status, status_code):
    """An id that nobody knows is told apart, since a fresh one may only be unknown yet."""
    assert "not_found" == verdict(status, message, status_code=status_code)


def test_an_unknown_id_without_a_status_word():
    """Its words and a status of HTTP are enough; its words alone are not."""
    assert "not_found" == verdict(None, "Request not found", status_code=404)
    assert UnreadableReply is verdict(None, "Request not found")


@pytest.mark.parametrize("stage", ["Model Ready", "model_ready", " MODEL_READY "])
def test_stages_of_training_however_they_are_written(stage):
    """Capitals and blanks make no other stage."""
    assert Success is verdict("success", stage, family="training")
    assert "failed" == verdict("success", "Training failed", family="training")
    assert Processing is verdict("success", "Training Started", family="training")


def test_the_envelope_of_training_counts_where_it_is_no_success():
    """A stage is looked for in a success only; and 'success' is no stage."""
    assert "failed" == verdict("failed", "The GPU was lost", family="training")
    assert "failed" == verdict("error", "model_ready", family="training")
    assert Processing is verdict("processing", "model_ready", family="training")
    assert Processing is verdict("success", "success", family="training")


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
def test_words_that_nobody_knows_are_told_apart(word, rule, known):
    """Who looks may log a word of no table once; it is not terminal."""
    assert known is is_known_status(word, rule)


@pytest.mark.parametrize("status", ["success", "processing", "queued"])
@pytest.mark.parametrize("status_code", [400, 404, 409, 422])
def test_a_contradiction_says_nothing(status, status_code):
    """A status of HTTP that refuses and a body that does not: the poller looks again."""
    assert UnreadableReply is verdict(status, "", status_code=status_code)


def test_a_refusal_is_said_at_the_start():
    """What a long text mentions on its second page is no refusal."""
    assert "failed" == verdict("failed", "It went wrong. " * 50 + "Invalid API key")


@given(
    message=st.lists(
        st.sampled_from(
            ["api key", "invalid", "credits", "no", ". ", "! ", "requires a", "plan", " ", ":", "x"]
        ),
        max_size=30,
    ).map("".join),
    status=st.sampled_from(["processing", "success", "queued"]),
)
def test_words_decide_nothing_while_the_job_lives(message, status):
    """Only a failure, or no status at all, is searched for a refusal."""
    assert verdict(status, message) in (Processing, Success)


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
def test_a_long_message_is_searched_in_no_time(message):
    """No message costs more than time in proportion to its length."""
    began = time.process_time()
    assert verdict("error", message) in ("failed", AuthenticationError, PaymentRequired)
    assert time.process_time() - began < PATIENCE


@pytest.mark.parametrize("status_code", [401, 402, 403])
def test_a_firewall_refuses_no_key(status_code):
    """Its page says nothing of the account; JSON, plain words and silence do."""
    page = b"\xef\xbb\xbf\n<!DOCTYPE html><title>Just a moment...</title>"
    with pytest.raises(UnreadableReply) as caught:
        read_reply(Ticket("images", 1), status_code=status_code, body=page)
    assert status_code == caught.value.status_code
    for body in (b"", b" \n", b"{}", b'{"message":"<b>no</b>"}', b'"no"', b"no"):
        with pytest.raises(Refused):
            read_reply(Ticket("images", 1), status_code=status_code, body=body)
