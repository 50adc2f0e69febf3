"""Turns a result, with its saved files, into a record for JSON."""

from typing import Any

from .. import Outcome, Saved, SaveResult, SubmitUncertain, Unsaved, Unsubmitted, to_dict
from .exit_codes_and_advice import explain, explain_unsubmitted


def result_record(result: Outcome | SaveResult | Unsubmitted, endpoint: str = "") -> dict[str, Any]:
    """
    Return the record that `--json` prints for a result. The record lists the saved files.

    Args:
        result: The result.
        endpoint: The endpoint of the request. A message about wrong parameters names this endpoint.
    """
    if isinstance(result, Unsubmitted):
        cause = result.cause
        return {
            "kind": "unsubmitted",
            "error": type(cause).__name__,
            "message": explain_unsubmitted(cause, endpoint),
            "may_be_started": isinstance(cause, SubmitUncertain),
            "track_id": getattr(cause, "track_id", ""),
        }
    if not isinstance(result, (Saved, Unsaved)):
        return to_dict(result)
    files = [
        {"n": file.n, "path": str(file.path), "sha256": file.sha256, "size": file.size}
        for file in result.files
    ]
    error = explain(result.cause) if isinstance(result, Unsaved) else None
    return {**to_dict(result.success), "files": files, "save_error": error}
