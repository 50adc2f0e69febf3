"""
BulkGeneration: runs one call of `generate_many`.

If one request fails, the others go on. Requests that need a refused API key are not sent.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

from .._aio.concurrent_map import ConcurrentMap
from .._models.argument_checks import check_count, check_iterable, check_nonnegative_seconds
from .._models.errors import AuthenticationError, ModelsLabError, PaymentRequired
from .._models.key_kind import Tier
from .._models.replies import Processing, Success
from .._models.submission import Submission
from .._models.unresolved_outcomes import Outcome, Unsubmitted
from .._submitting.submit_progress import SubmitProgress
from .._submitting.submit_recorder import SubmitRecorder, log_unreceived, reply_or_raise
from .._submitting.uploader import UPLOAD_ENDPOINT, original_error
from .engine import Engine
from .outcome_after_submit import outcome_after_submit

GenerationRequest: TypeAlias = tuple[str, Mapping[str, Any]] | Submission
"""What `generate_many` takes: a submission, or a pair of an endpoint and its parameters."""

RequestT = TypeVar("RequestT", bound=GenerationRequest)


class BulkSubmits:
    """
    Submits many requests. Requests that need a refused API key are not sent.

    Args:
        engine: The engine that submits the requests.
        submit_recorder: Records each submit; None to record nothing.
    """

    def __init__(self, engine: Engine, submit_recorder: SubmitRecorder | None = None) -> None:
        self._engine = engine
        self._submit_recorder = submit_recorder or SubmitRecorder()
        self._refusals: dict[Tier, ModelsLabError] = {}

    async def submit(
        self, submission: Submission, progress: SubmitProgress | None = None
    ) -> Processing | Success | Unsubmitted:
        """
        Submit one request.

        Args:
            submission: The request.
            progress: Records how far the submit has come. Only a caller with a deadline needs it.

        Raises:
            BaseException: The recorder or `on_submitted` raised this exception. If the submit
                already had a result, a note on the exception describes the result.
        """
        tiers = self._engine.endpoints.tiers_of(submission)
        if (refused := self._find_refusal(tiers)) is not None:
            return refused
        try:
            submit_request = await self._engine.prepare(submission)
            if progress is not None:
                progress.request = submit_request
            # Check again, because the server may have refused a key while this task was reading
            # the files of the request.
            if (refused := self._find_refusal(tiers)) is not None:
                return refused
            result = await self._engine.submitter.submit(
                submit_request, self._submit_recorder, progress=progress
            )
        except (AuthenticationError, PaymentRequired) as error:
            self._add_refusal(submission, error)
            return Unsubmitted(cause=error)
        except ModelsLabError as error:
            return Unsubmitted(cause=error)
        return reply_or_raise(result)

    def _find_refusal(self, tiers: Iterable[Tier]) -> Unsubmitted | None:
        """Return the result of a request that needs these kinds of keys, if one was refused."""
        causes = (self._refusals[tier] for tier in tiers if tier in self._refusals)
        return next((Unsubmitted(cause=cause) for cause in causes), None)

    def _add_refusal(self, submission: Submission, error: ModelsLabError) -> None:
        cause = original_error(error)
        # The error of an upload is a copy, and `cause` is its original.
        endpoint = submission.endpoint if cause is error else UPLOAD_ENDPOINT
        self._refusals[self._engine.endpoints.tier_of(endpoint)] = cause

    async def submit_in_time(
        self, submission: Submission, timeout: float, deadline: float
    ) -> Processing | Success | Unsubmitted:
        """
        Submit one request. At the deadline, return what is known about the submit.

        Args:
            submission: The request.
            timeout: The timeout of the caller in seconds, for messages.
            deadline: The time at which the timeout ends, on the event loop's clock.
        """
        progress = SubmitProgress(deadline)
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                return await self.submit(submission, progress)
        except TimeoutError:
            if not limit.expired():
                raise
        result = await progress.result_after_deadline(submission.endpoint, timeout)
        if isinstance(result, ModelsLabError):
            return Unsubmitted(cause=result)
        return reply_or_raise(result)


class BulkGeneration:
    """
    Submits the requests of one `generate_many` call, and waits for their outcomes.

    Args:
        engine: The engine that submits and polls.
        timeout: The timeout in seconds; None for the client's `wait_timeout`.
        bounds_submits: What the timeout limits. If True, the timeout starts with `run`, and limits
            all submits and waits together. If False, each wait has this timeout.
    """

    def __init__(
        self, engine: Engine, timeout: float | None, *, bounds_submits: bool = False
    ) -> None:
        self._engine = engine
        self._timeout = timeout
        self._bounds_submits = bounds_submits and bool(timeout) and timeout != math.inf
        self._deadline = math.inf
        self._submits = BulkSubmits(engine)

    async def run(
        self, requests: Iterable[RequestT] | AsyncIterable[RequestT], window: int
    ) -> AsyncGenerator[tuple[RequestT, Outcome | Unsubmitted], None]:
        """Yield each request with its outcome, in the order in which requests end."""
        self._engine.check_usable()
        check_bulk_arguments(requests, self._timeout, window)
        if self._bounds_submits and self._timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + self._timeout
        generate: ConcurrentMap[RequestT, Outcome | Unsubmitted] = ConcurrentMap(
            self._generate, window, on_unreceived=self._log_unreceived
        )
        async with aclosing(generate.run(requests, self._check)) as finished:
            async for request, outcome in finished:
                yield request, outcome

    def _check(self, request: GenerationRequest) -> None:
        """
        Check a request before it is submitted.

        Raises:
            ValueError: The request is neither a submission nor a pair, the endpoint is unknown, or
                the parameters do not fit the endpoint.
        """
        submission = as_submission(request)
        self._engine.endpoints.check(submission.endpoint, submission.parameters, submission.key)

    async def _generate(self, request: GenerationRequest) -> Outcome | Unsubmitted:
        """
        Submit one request and wait for its outcome.

        Raises:
            BaseException: `on_submitted` raised this exception. A note on it names the ticket.
        """
        submission, timeout = as_submission(request), self._timeout
        if self._deadline == math.inf or timeout is None:
            reply = await self._submits.submit(submission)
        else:
            reply = await self._submits.submit_in_time(submission, timeout, self._deadline)
            timeout = max(self._deadline - asyncio.get_running_loop().time(), 0.0)
        if not isinstance(reply, Processing):
            return reply
        return await outcome_after_submit(self._engine, reply, timeout)

    def _log_unreceived(self, outcome: Outcome | Unsubmitted) -> None:
        """Log a result that the caller left, unless `on_submitted` has received its ticket."""
        if isinstance(outcome, Unsubmitted):
            log_unreceived(outcome.cause)
        elif not self._engine.submitter.calls_on_submitted:
            log_unreceived(outcome)


def check_bulk_arguments(requests: object, timeout: float | None, window: int) -> None:
    """
    Check the arguments of `generate_many`.

    Raises:
        TypeError: The requests cannot be iterated, or another argument has the wrong type.
        ValueError: The timeout or the window is out of its range.
    """
    check_nonnegative_seconds("timeout", timeout, optional=True)
    check_count("window", window)
    example = "[('realtime/text2img', {'prompt': ...})]"
    check_iterable("requests", requests, f"an iterable of submissions, such as {example}")


def as_submission(request: GenerationRequest) -> Submission:
    """
    Return a request of `generate_many` as a `Submission`.

    Raises:
        ValueError: The request is neither a `Submission` nor a pair of endpoint and parameters.
    """
    match request:
        case Submission():
            return request
        case (str(endpoint), Mapping() as params):
            return Submission(endpoint, params)
        case _:
            raise ValueError(
                "a request is a Submission, or a pair of an endpoint and its parameters, such as "
                f"('realtime/text2img', {{'prompt': ...}}), got {type(request).__name__}"
            )
