"""SubmitNotifier: reports a submit to its recorder and to event listeners."""

import asyncio
from collections.abc import Callable

from attrs import Factory, define

from .._models.errors import ModelsLabError, SubmitUncertain
from .._models.events import (
    Event,
    SlotAwaited,
    SubmitFailed,
    SubmitRetried,
    SubmitSent,
    SubmitUnconfirmed,
    Uploaded,
)
from .._models.key_kind import Tier
from .file_reading import Upload
from .slots import Slots
from .submit_exchange import SubmitReply
from .submit_recorder import SubmitRecorder, SubmitResult
from .submit_request import SubmitRequest


@define(eq=False)
class SubmitNotifier(SubmitRecorder):
    """
    Reports the progress of one submit to a recorder, and to listeners as events.

    Listeners see the context variables of the submit's caller.

    Args:
        recorder: Records the submit.
        listeners: Called with each event.
        submit_request: The request that is submitted.
        slots: The slots that the request waits for.
        tier: The tier of the API key that the slots belong to.
    """

    _recorder: SubmitRecorder
    _listeners: Callable[[Event], object]
    _submit_request: SubmitRequest
    _slots: Slots
    _tier: Tier
    _attempt: int = 1
    _started: float = Factory(lambda: asyncio.get_running_loop().time())

    def acquiring(self, number: int) -> None:
        """Report that the submit begins to wait for a slot. Report nothing if a slot is free."""
        reason = self._slots.wait_reason(self._submit_request.payload_hash, number)
        if reason is None:
            return
        self._listeners(
            SlotAwaited(
                endpoint=self._endpoint,
                track_id=self._track_id,
                tier=self._tier,
                used=self._slots.used,
                limit=self._slots.limit,
                reason=reason,
            )
        )

    def uploaded(self, upload: Upload, size: int, elapsed: float) -> None:
        """Report that a file was uploaded."""
        self._listeners(
            Uploaded(
                endpoint=self._endpoint,
                track_id=self._track_id,
                parameter=upload.parameter,
                size=size,
                elapsed=elapsed,
            )
        )

    async def begin(self, submit_request: SubmitRequest) -> None:
        """Record a request before it is sent. Then report that it is being sent."""
        await self._recorder.begin(submit_request)
        self._listeners(
            SubmitSent(
                endpoint=self._endpoint,
                track_id=self._track_id,
                attempt=self._attempt,
                waited=asyncio.get_running_loop().time() - self._started,
            )
        )

    def refusal(self) -> Exception | None:
        """Return the recorder's error for a further attempt; None if it may be sent again."""
        return self._recorder.refusal()

    def check_sendable(self, task: asyncio.Task[SubmitResult] | None) -> None:
        """
        Let the recorder check that the request may still be sent.

        `task` is the task that called `begin`.
        """
        self._recorder.check_sendable(task)

    async def finish(
        self, submit_request: SubmitRequest, result: SubmitReply | ModelsLabError
    ) -> None:
        """Record and report the result of a recorded request, even if it was not sent."""
        # Record first: a listener may end the program, or may be slow.
        try:
            await self._recorder.finish(submit_request, result)
        finally:
            self.ended(result)

    def ended(self, result: SubmitReply | ModelsLabError) -> None:
        """Report the result of an attempt."""
        match result:
            case SubmitUncertain():
                self._listeners(
                    SubmitUnconfirmed(
                        endpoint=self._endpoint, track_id=self._track_id, error=result
                    )
                )
            case ModelsLabError():
                self._listeners(
                    SubmitFailed(
                        endpoint=self._endpoint,
                        track_id=self._track_id,
                        error=result,
                        attempt=self._attempt,
                    )
                )
            case _:
                self._listeners(self._submit_request.submitted_event(result))

    def retried(self, error: ModelsLabError, delay: float) -> None:
        """Report that the submit will be sent again after this delay."""
        self._attempt += 1
        self._listeners(
            SubmitRetried(
                endpoint=self._endpoint,
                track_id=self._track_id,
                error=error,
                attempt=self._attempt,
                delay=delay,
            )
        )

    @property
    def _endpoint(self) -> str:
        return self._submit_request.endpoint.name

    @property
    def _track_id(self) -> str:
        return self._submit_request.track_id
