"""LinkRetries: decides whether and when to retry the links of an output."""

import math
from collections.abc import Iterator, Sequence

from .._models.download_errors import DownloadError, LinkGone, TransferFailed
from .._models.replies import Success
from .inline_data import is_link
from .transfer import ErrorPage

_RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0)
_MAX_ROUNDS_WITHOUT_PROGRESS = 5
# The maximum number of rounds with a broken transfer, for one output. Without a maximum, the client
# would retry for hours if a server sends only a few bytes in each response.
_MAX_INTERRUPTED_ROUNDS = 100
# A link with one of these statuses has expired and is renewed at once. A link with the status 404
# is tried again first, because its file may appear later.
_EXPIRED_STATUSES = (403, 410)


class LinkRetries:
    """
    Counts the rounds of attempts for one output. A round tries each link of the output once.

    Args:
        link_timeout: For how many seconds to retry a dead link, from the first attempt.
        size: How many bytes of the output were received before the first round.
    """

    def __init__(self, link_timeout: float, size: int) -> None:
        self._link_timeout = link_timeout
        self._deadline = math.inf
        self._largest_size = size
        self._rounds_without_progress = 0
        self._interrupted_rounds = 0
        self._delays = _delays()

    def begin_attempt(self, now: float) -> None:
        """Record that an attempt begins now. The first attempt starts the link timeout."""
        self._deadline = min(self._deadline, now + self._link_timeout)

    def should_renew(self, gone: LinkGone | ErrorPage, now: float) -> bool:
        """Whether to poll the ticket for a new link, now that a link is dead."""
        return now >= self._deadline or gone.status_code in _EXPIRED_STATUSES

    def allows_another(self, faults: Sequence[DownloadError], size: int, now: float) -> bool:
        """Count a round in which every link failed. Return whether to try the links again."""
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
        """Return the seconds to wait before the links are tried again."""
        return next(self._delays)


def first_dead_link(faults: Sequence[DownloadError]) -> LinkGone | ErrorPage | None:
    """Return the first error that means a dead link, or None if there is no such error."""
    return next((fault for fault in faults if isinstance(fault, LinkGone | ErrorPage)), None)


def _delays() -> Iterator[float]:
    yield from _RETRY_DELAYS_S
    while True:
        yield _RETRY_DELAYS_S[-1]


def links_of(success: Success, n: int) -> tuple[str, ...]:
    """
    Return the links to the output with index `n`, without duplicates.

    Proxy links are included only if there is one for each output. Otherwise, it is unknown which
    output a proxy link belongs to.
    """
    links = [success.output[n]]
    if len(success.proxy_links) == len(success.output):
        links.append(success.proxy_links[n])
    return tuple(dict.fromkeys(link for link in links if is_link(link)))
