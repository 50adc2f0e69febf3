"""Rounds: runs each measurement in a fresh process, alternates the variants, takes medians."""

import multiprocessing
import statistics
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection as Pipe
from typing import Any, TypeVar

VariantT = TypeVar("VariantT")

Figures = tuple[float, ...]


def _send(pipe: Pipe, measure: Callable[..., Figures], args: tuple[Any, ...]) -> None:
    pipe.send(tuple(measure(*args)))


def in_fresh_process(measure: Callable[..., Figures], *args: Any) -> Figures:
    """Measure in a new process, so that no memory of another round counts."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_send, args=(sender, measure, args))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def alternating_medians(
    variants: Iterable[VariantT], measure: Callable[[VariantT], Figures], *, rounds: int
) -> dict[VariantT, Figures]:
    """The medians per variant. Rounds alternate, so that other load meets all variants alike."""
    rounds_of: dict[VariantT, list[Figures]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, figures in rounds_of.items():
            figures.append(measure(variant))
    return {
        variant: tuple(statistics.median(column) for column in zip(*figures, strict=True))
        for variant, figures in rounds_of.items()
    }
