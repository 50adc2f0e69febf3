"""HintExchange: passes webhook hints between a client and the others of its account."""

import logging
from collections import deque
from collections.abc import Sequence

from .._models.account_errors import AccountError
from .._parsing.webhook_ids import WebhookHint
from .report_and_answer_types import Membership

_logger = logging.getLogger("modelslab_async")

# While the account cannot be reached, only this many of the newest hints are kept.
_MAX_HINTS = 100


class HintExchange:
    """
    Passes webhook hints between one client and the other clients of its account.

    Args:
        membership: The client's membership in the account.

    Attributes:
        waiting: The hints to pass on to other clients.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.waiting = deque[WebhookHint](maxlen=_MAX_HINTS)
        self._is_failing = False

    async def share(self, *, has_tickets: bool) -> Sequence[WebhookHint]:
        """
        Pass the waiting hints on. Return the new hints of other clients.

        Args:
            has_tickets: Whether the client has open tickets. Without any, it has no use for the
                hints of other clients.
        """
        if not self.waiting and not has_tickets:
            return ()
        given = tuple(self.waiting)
        self.waiting.clear()
        try:
            return await self._membership.share_hints(given)
        except BaseException:
            # Keep these hints for the next attempt, together with hints that came meanwhile.
            self.waiting = deque([*given, *self.waiting], maxlen=_MAX_HINTS)
            raise

    async def try_share(self, *, has_tickets: bool) -> Sequence[WebhookHint]:
        """Do the same, but only log an error, because submits and polls need no hints."""
        try:
            received = await self.share(has_tickets=has_tickets)
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
