"""Reads the ids in a webhook, but not its results: webhooks are not signed and may be forged."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from .json_body import UnreadableBodyError, parse_body

_WEBHOOK_ID_FIELDS = ("id", "request_id", "training_id", "model_id", "execution_id")


@frozen
class WebhookHint:
    """
    The ids in a webhook. They tell which work the webhook is about.

    Attributes:
        ids: All ids that may belong to the work.
        track_id: The `track_id` of the request; "" if the webhook has none.
    """

    ids: tuple[str, ...]
    track_id: str


def read_webhook(body: bytes) -> WebhookHint | None:
    """
    Read the ids from the body of a webhook. Return None if the body has no ids.

    The webhook of a generation has `id` and `track_id`. The webhook of a training has `model_id`.
    The webhook of a workflow has `workflow.id` and `execution.id`, or `workflow_id` and
    `execution_id`.
    """
    try:
        fields = parse_body(body)
    except UnreadableBodyError:
        return None
    ids = [*_workflow_ids(fields), *(_text(fields.get(name)) for name in _WEBHOOK_ID_FIELDS)]
    hint = WebhookHint(tuple(dict.fromkeys(filter(None, ids))), _track_id(fields))
    return hint if hint.ids or hint.track_id else None


def _workflow_ids(fields: Mapping[str, Any]) -> list[str]:
    workflow, execution = fields.get("workflow"), fields.get("execution")
    if isinstance(workflow, dict) and isinstance(execution, dict):
        pair = _text(workflow.get("id")), _text(execution.get("id"))
    else:
        pair = _text(fields.get("workflow_id")), _text(fields.get("execution_id"))
    return ["/".join(pair)] if all(pair) else []


def _track_id(fields: Mapping[str, Any]) -> str:
    meta = fields.get("meta")
    inner = meta.get("track_id") if isinstance(meta, dict) else None
    return _text(fields.get("track_id")) or _text(inner)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    return str(value).strip()
