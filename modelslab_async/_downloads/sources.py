"""Source: outcomes from whoever has them, one by one. What is no outcome is refused, not lost."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable

from .._core.outcomes import Outcome, Unresolved, Unsubmitted
from .._core.replies import Failed, Success


async def each(
    outcomes: AsyncIterable[Outcome | Unsubmitted] | Iterable[Outcome | Unsubmitted],
) -> AsyncGenerator[Outcome | Unsubmitted, None]:
    """
    Read a source of either kind.

    Raises:
        TypeError: It holds something else than outcomes. This is raised after those before it.
    """
    if isinstance(outcomes, AsyncIterable):
        try:
            async for outcome in outcomes:
                yield _checked(outcome)
        finally:
            # Whoever wrote `stream(client.stream(...))` has no other hand on it.
            if isinstance(outcomes, AsyncGenerator):
                await outcomes.aclose()
    else:
        for outcome in outcomes:
            yield _checked(outcome)


def _checked(outcome: Outcome | Unsubmitted) -> Outcome | Unsubmitted:
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
