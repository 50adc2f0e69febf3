"""SubmitBudget: limits how many submits one client may pay for."""

from attrs import define

from .._models.errors import GenerationFailed, ModelsLabError, SubmitUncertain
from .._models.unsent_errors import SubmitLimitReached
from .submit_recorder import CallbackFailure, SubmitResult


@define(eq=False)
class SubmitBudget:
    """
    Counts the submits that one client may still make.

    Each submit reserves one share of the limit before it is sent. The share is returned if the
    submit certainly started no work.

    Args:
        limit: The maximum number of submits; None for no limit.
    """

    limit: int | None
    _taken: int = 0
    _paid: int = 0

    def take_share(self) -> "BudgetShare":
        """
        Reserve one submit of the budget.

        Raises:
            SubmitLimitReached: All submits of the budget are reserved or paid.
        """
        if self.limit is not None and self._taken >= self.limit:
            in_progress = self._taken - self._paid
            raise SubmitLimitReached(
                f"max_submits={self.limit} allows no more submits: {self._paid} were made, and "
                f"{in_progress} more are in progress; nothing was sent",
                limit=self.limit,
                made=self._paid,
            )
        self._taken += 1
        return BudgetShare(self)

    def settle(self, *, is_paid: bool) -> None:
        """Record whether one submit was paid for. If it was not, return its share to the budget."""
        if is_paid:
            self._paid += 1
        else:
            self._taken -= 1


@define(eq=False)
class BudgetShare:
    """
    One submit's share of a `SubmitBudget`, reserved before the submit is sent.

    The share is counted as paid once work may have been started. If the submit certainly started no
    work, the share is returned.
    """

    _budget: SubmitBudget
    _is_in_flight: bool = False
    _has_caller: bool = True
    _is_settled: bool = False

    def begin_attempt(self) -> None:
        """Record that a request is in flight. Its result counts even if the caller is cancelled."""
        self._is_in_flight = True

    def end_attempt(self, result: SubmitResult | BaseException) -> None:
        """Record the result of a request, or the exception that ended its task."""
        self._is_in_flight = False
        self._settle(is_paid=_may_be_paid(result))

    def leave(self) -> None:
        """Record that the caller sends no more requests for this submit."""
        self._has_caller = False
        self._settle(is_paid=False)

    def _settle(self, *, is_paid: bool) -> None:
        is_over = is_paid or not (self._has_caller or self._is_in_flight)
        if is_over and not self._is_settled:
            self._is_settled = True
            self._budget.settle(is_paid=is_paid)


def _may_be_paid(result: SubmitResult | BaseException) -> bool:
    """Whether a request with this result may have started work."""
    match result:
        case CallbackFailure(result=reported):
            return reported is not None and _may_be_paid(reported)
        case ModelsLabError():
            return isinstance(result, (SubmitUncertain, GenerationFailed))
        case _:
            return True
