"""Makes a submission key for each submission that has none."""

import hashlib
import json
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
        return submission.with_key(self.number(digest_of(submission)))

    def number(self, digest: str) -> str:
        """Return a new submission key: the digest, with a number if it was given before."""
        self._seen[digest] += 1
        return digest + (f"-{self._seen[digest]}" if self._seen[digest] > 1 else "")


def is_derived_from(key: str, digest: str) -> bool:
    """Whether a submission key is a digest itself, or the digest with a number."""
    base, _, number = key.partition("-")
    return base == digest and (key == base or (number.isascii() and number.isdecimal()))


def digest_of(submission: Submission, *, track_id: str | None = None) -> str:
    """
    Return a digest of the endpoint and the parameters, in hexadecimal digits.

    Args:
        submission: The submission. The digest does not depend on its track_id.
        track_id: A track_id on which the digest depends too; None for none.

    Raises:
        ValueError: A parameter has a type from which no digest can be computed.
    """
    parameters = {
        name: value
        for name, value in submission.parameters.items()
        if name not in _UNSTABLE_PARAMETERS
    }
    payload = [submission.endpoint, parameters] + ([] if track_id is None else [track_id])
    text = json.dumps(payload, sort_keys=True, default=_describe)
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
