"""SingleGeneration: runs one call of `generate`. One timeout covers the submit and the wait."""

import asyncio
import math

from .._models.argument_checks import check_nonnegative_seconds
from .._models.errors import ModelsLabError, WaitTimeout
from .._models.replies import Success
from .._models.submission import Submission
from .._models.unresolved_outcomes import Unresolved
from .._polling.watchers import success_or_raise
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_progress import SubmitProgress
from .._submitting.submit_recorder import reply_or_raise
from .engine import Engine
from .outcome_after_submit import outcome_after_submit


class SingleGeneration:
    """
    Starts one generation and waits for its result.

    Args:
        engine: The engine that submits and polls.
        timeout: The maximum number of seconds from the call to the result. With None, the client's
            `wait_timeout` limits the wait after the submit.
    """

    def __init__(self, engine: Engine, timeout: float | None) -> None:
        self._engine = engine
        self._timeout = timeout

    async def run(self, submission: Submission) -> Success:
        """Start the generation and return its result, as `Client.generate` does."""
        self._engine.check_usable()
        check_nonnegative_seconds("timeout", self._timeout, optional=True)
        loop = asyncio.get_running_loop()
        called_at = loop.time()
        if self._timeout is None or self._timeout == math.inf:
            reply = await self._submit(submission, SubmitProgress())
        else:
            reply = await self._submit_in_time(submission, self._timeout)
        if isinstance(reply, Success):
            return reply
        if self._timeout is None:
            return success_or_raise(await outcome_after_submit(self._engine, reply, None))
        submit_s = loop.time() - called_at
        rest = max(self._timeout - submit_s, 0.0)
        outcome = await outcome_after_submit(self._engine, reply, rest)
        if isinstance(outcome, Unresolved) and isinstance(outcome.cause, WaitTimeout):
            cause = outcome.cause
            cause.message = f"started within {submit_s:.3g} s, then {cause.message}"
            cause.args = (cause.message,)
        return success_or_raise(outcome)

    async def _submit(self, submission: Submission, progress: SubmitProgress) -> SubmitReply:
        progress.stage = "files"
        progress.request = await self._engine.prepare(submission)
        return reply_or_raise(
            await self._engine.submitter.submit(progress.request, progress=progress)
        )

    async def _submit_in_time(self, submission: Submission, timeout: float) -> SubmitReply:
        """
        Submit within the timeout.

        If the timeout passes, raise an error that says how far the submit came.
        """
        progress = SubmitProgress(asyncio.get_running_loop().time() + timeout)
        if not timeout:
            raise progress.unsent_error(submission.endpoint, timeout)
        limit = asyncio.timeout_at(progress.deadline)
        try:
            async with limit:
                return await self._submit(submission, progress)
        except TimeoutError:
            if not limit.expired():
                raise
        result = await progress.result_after_deadline(submission.endpoint, timeout)
        if isinstance(result, ModelsLabError):
            raise result
        return reply_or_raise(result)
