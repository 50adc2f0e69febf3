"""Ledger: where submits are written down, before and after. This one writes nothing."""

from typing import TypeAlias

from ._core.errors import ModelsLabError
from ._core.replies import Processing, Success
from ._orders import Order

Receipt: TypeAlias = Processing | Success
"""What tells that work was started."""


class Ledger:
    """Hears of every submit that is about to be sent, and of what came of it."""

    async def begin(self, order: Order) -> None:
        """An order is about to be sent; if this raises, it is not."""

    async def end(self, order: Order, end: Receipt | ModelsLabError) -> None:
        """What came of an order that was sent."""
