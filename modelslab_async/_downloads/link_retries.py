"""Link retries: decides whether an output's links are tried again, and when. Sends nothing."""

from collections.abc import Iterator, Sequence

from .._models.download_errors import DownloadError, LinkGone, TransferFailed
from .transfer import ErrorPage

_RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0)
_MAX_ROUNDS_WITHOUT_PROGRESS = 5
# A server that sends a few bytes per request would otherwise be asked for hours.
_MAX_INTERRUPTED_ROUNDS = 100
# These mean that the link has expired. A 404 may mean that the file is not there yet.
_EXPIRED_STATUSES = (403, 410)


class LinkRetries:
    """
    Counts the rounds of one output. A round tries each of its links once.

    Args:
        deadline: The loop time after which a dead link is given up.
        size: How many bytes the part has at the start.
    """

    def __init__(self, deadline: float, size: int) -> None:
        self._deadline = deadline
        self._largest_size = size
        self._rounds_without_progress = 0
        self._interrupted_rounds = 0
        self._delays = _delays()

    def should_renew(self, gone: LinkGone | ErrorPage, now: float) -> bool:
        """Whether to poll the ticket for a link in place of a dead one."""
        return now >= self._deadline or gone.status_code in _EXPIRED_STATUSES

    def allows_another(self, faults: Sequence[DownloadError], size: int, now: float) -> bool:
        """Count a failed round. Returns whether another one is allowed."""
        is_interrupted = any(isinstance(fault, TransferFailed) for fault in faults)
        if size > self._largest_size:
            self._largest_size, self._rounds_without_progress = size, 0
        self._rounds_without_progress += is_interrupted
        self._interrupted_rounds += is_interrupted
        if first_dead_link(faults) is not None and now < self._deadline:
            return self._interrupted_rounds < _MAX_INTERRUPTED_ROUNDS
        return (
            is_interrupted
            and self._rounds_without_progress < _MAX_ROUNDS_WITHOUT_PROGRESS
            and self._interrupted_rounds < _MAX_INTERRUPTED_ROUNDS
        )

    def next_delay(self) -> float:
        """How many seconds to wait before the next round."""
        return next(self._delays)


def first_dead_link(faults: Sequence[DownloadError]) -> LinkGone | ErrorPage | None:
    """The first error that says that a link is dead."""
    return next((fault for fault in faults if isinstance(fault, LinkGone | ErrorPage)), None)


def _delays() -> Iterator[float]:
    yield from _RETRY_DELAYS_S
    while True:
        yield _RETRY_DELAYS_S[-1]
