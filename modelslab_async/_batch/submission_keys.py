"""Makes a submission key for each submission that has none."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import Any, Final

from .._aio.iteration import iterate
from .._engine.bulk_generation import GenerationRequest, as_submission
from .._models.submission import Submission

# A derived submission key does not depend on these parameters, because they may differ the next
# time that the program runs.
_UNSTABLE_PARAMETERS: Final = ("track_id", "webhook")
_KEY_DIGITS: Final = 16
_DERIVED_KEY: Final = re.compile(rf"[0-9a-f]{{{_KEY_DIGITS}}}(-[0-9]+)?")


async def with_keys(
    requests: Iterable[GenerationRequest] | AsyncIterable[GenerationRequest],
) -> AsyncGenerator[Submission, None]:
    """
    Yield each request as a submission with a submission key.

    If a request has no submission key, its key is a digest of its endpoint and parameters. So a
    restarted program makes the same key again. If several requests are equal, the key of the second
    ends with `-2`, and the key of the third with `-3`.

    Raises:
        ValueError: A request is neither a submission nor a pair of an endpoint and parameters.
    """
    keys = SubmissionKeys()
    async with aclosing(iterate(requests)) as source:
        async for request in source:
            yield keys.ensure_key(as_submission(request))


class SubmissionKeys:
    """Makes submission keys for one source of requests. Equal requests get different keys."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def ensure_key(self, submission: Submission) -> Submission:
        """
        Return the submission itself or, if it has no submission key, a copy with a new one.

        Raises:
            ValueError: A parameter has a type from which no submission key can be computed.
        """
        if submission.key is not None:
            return submission
        key = _digest(submission)
        self._seen[key] += 1
        return submission.with_key(key + (f"-{self._seen[key]}" if self._seen[key] > 1 else ""))


def is_derived(key: str) -> bool:
    """Whether a submission key looks like a key that `SubmissionKeys` makes."""
    return _DERIVED_KEY.fullmatch(key) is not None


def _digest(submission: Submission) -> str:
    """Return a digest of the endpoint and the parameters, in hexadecimal digits."""
    parameters = {
        name: value
        for name, value in submission.parameters.items()
        if name not in _UNSTABLE_PARAMETERS
    }
    text = json.dumps([submission.endpoint, parameters], sort_keys=True, default=_describe)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def _describe(value: Any) -> str:
    """Return a string for a value that JSON cannot hold: the digest of bytes, or a file's path."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"sha256:{hashlib.sha256(value).hexdigest()}"
    if hasattr(value, "__fspath__"):
        return f"file:{value.__fspath__()}"
    raise ValueError(
        f"a submission with a value of type {type(value).__name__} needs a key of its own, such as "
        "Submission(..., key='row 1')"
    )
