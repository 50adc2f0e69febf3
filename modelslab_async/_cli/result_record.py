"""Makes the JSON record of one result, with the files that were saved. It prints nothing."""

from typing import Any

from .. import Outcome, Saved, SaveResult, Unsaved, to_dict
from .exit_codes import explain


def result_record(result: Outcome | SaveResult) -> dict[str, Any]:
    """Return the result as a record for a program. A result with saved files lists the files."""
    if not isinstance(result, (Saved, Unsaved)):
        return to_dict(result)
    files = [
        {"n": file.n, "path": str(file.path), "sha256": file.sha256, "size": file.size}
        for file in result.files
    ]
    error = explain(result.cause) if isinstance(result, Unsaved) else None
    return {**to_dict(result.success), "files": files, "save_error": error}
