"""read_webhook: which ids a webhook names, in each documented shape."""

import json

import pytest

from modelslab_async._parsing.webhook_ids import WebhookHint, read_webhook

NESTED = {"workflow": {"id": "w"}, "execution": {"id": "e"}}


@pytest.mark.parametrize(
    ("fields", "ids", "track_id"),
    [
        ({"id": 5}, ("5",), ""),
        ({"id": " 5 ", "request_id": 5}, ("5",), ""),
        ({"request_id": "r", "id": 5}, ("5", "r"), ""),
        ({"training_id": "t"}, ("t",), ""),
        ({"model_id": "m", "training_id": "t"}, ("t", "m"), ""),
        ({"execution_id": "e"}, ("e",), ""),
        ({"workflow_id": "w", "execution_id": "e"}, ("w/e", "e"), ""),
        ({"workflow_id": "w", "id": 5}, ("5",), ""),
        (NESTED, ("w/e",), ""),
        ({**NESTED, "workflow_id": "x", "execution_id": "y"}, ("w/e", "y"), ""),
        ({"workflow": {"id": "w"}, "execution": "e"}, None, ""),
        ({"workflow": "w", "execution": {"id": "e"}}, None, ""),
        ({"workflow": {"id": "w"}, "workflow_id": "x", "execution_id": "y"}, ("x/y", "y"), ""),
        ({"track_id": "t"}, (), "t"),
        ({"track_id": 7}, (), "7"),
        ({"meta": {"track_id": "t"}}, (), "t"),
        ({"track_id": "outer", "meta": {"track_id": "inner"}}, (), "outer"),
        ({"id": 5, "meta": ["track_id"]}, ("5",), ""),
        ({"id": True, "track_id": False}, None, ""),
        ({"id": [5], "track_id": {"a": 1}}, None, ""),
        ({"id": 5.5}, None, ""),
        ({"id": " ", "track_id": ""}, None, ""),
        ({}, None, ""),
    ],
    ids=json.dumps,
)
def test_ids_of_a_webhook(fields, ids, track_id):
    """All ids that may belong to the work, each once; None if there is neither id nor track id."""
    expected = None if ids is None else WebhookHint(ids, track_id)
    assert expected == read_webhook(json.dumps(fields).encode())


@pytest.mark.parametrize("body", [b"", b"no", b"[1]", b'{"id": 5'])
def test_unreadable_webhook_names_nothing(body):
    """It may come from anywhere, so it is no error."""
    assert read_webhook(body) is None
