"""Source: outcomes from whoever has them, one by one. What is no outcome is refused, not lost."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing

from .._aio.iteration import iterate
from .._models.outcomes import Outcome, Unresolved, Unsubmitted
from .._models.replies import Failed, Success


async def each_outcome(
    outcomes: AsyncIterable[Outcome | Unsubmitted] | Iterable[Outcome | Unsubmitted],
) -> AsyncGenerator[Outcome | Unsubmitted, None]:
    """
    Read a source of either kind.

    Raises:
        TypeError: It holds something else than outcomes. This is raised after those before it.
    """
    # Whoever wrote `stream(client.stream(...))` has no other hand on that stream.
    async with aclosing(iterate(outcomes)) as source:
        async for outcome in source:
            yield _check_outcome(outcome)


def _check_outcome(outcome: Outcome | Unsubmitted) -> Outcome | Unsubmitted:
    given: object = outcome
    if isinstance(given, (Success, Failed, Unresolved, Unsubmitted)):
        return outcome
    hint = (
        "generate_many gives pairs, so write: "
        "stream(outcome async for _, outcome in client.generate_many(...))"
        if isinstance(given, tuple)
        else "for tickets write: stream(client.stream(tickets))"
    )
    raise TypeError(
        "the downloads take outcomes (Success, Failed, Unresolved, Unsubmitted), "
        f"got a {type(given).__name__}; {hint}"
    )
