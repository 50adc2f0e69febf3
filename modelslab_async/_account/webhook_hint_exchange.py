"""HintExchange: passes webhook hints between a client and the other clients of its account."""

import logging
from collections import deque
from collections.abc import Sequence

from .._models.account_errors import AccountError
from .._parsing.webhook_ids import WebhookHint
from .report_and_answer_types import Membership

_logger = logging.getLogger("modelslab_async")

# The maximum number of outgoing hints. While the account cannot be reached, the oldest are dropped.
_MAX_HINTS = 100


class HintExchange:
    """
    Passes webhook hints between one client and the other clients of its account.

    Args:
        membership: The client's membership in the account.

    Attributes:
        outgoing: The hints to pass on to other clients.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.outgoing = deque[WebhookHint](maxlen=_MAX_HINTS)
        self._is_failing = False

    async def share(self, *, reads_others: bool) -> Sequence[WebhookHint]:
        """
        Pass the outgoing hints to the other clients, and return new hints from them.

        Args:
            reads_others: Whether to ask the account for hints even if none are outgoing. A client
                without open tickets does not need the hints of other clients.
        """
        if not self.outgoing and not reads_others:
            return ()
        given = tuple(self.outgoing)
        self.outgoing.clear()
        try:
            return await self._membership.share_hints(given)
        except BaseException:
            # Keep these hints for the next attempt, together with hints that came meanwhile.
            self.outgoing = deque([*given, *self.outgoing], maxlen=_MAX_HINTS)
            raise

    async def try_share(self, *, reads_others: bool) -> Sequence[WebhookHint]:
        """Call `share`. Log its errors instead of raising them: submits and polls need no hints."""
        try:
            received = await self.share(reads_others=reads_others)
        except Exception as error:
            if not self._is_failing:
                trace = None if isinstance(error, AccountError) else error
                _logger.warning(
                    "the account passes on no webhooks for now, so tickets are polled at their "
                    "pace: %s",
                    error,
                    exc_info=trace,
                )
            self._is_failing = True
            return ()
        self._is_failing = False
        return received
