"""Rounds: each in a process of its own, those of all ways in turns, and the medians of a way's."""

import multiprocessing
import statistics
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection as Pipe
from typing import Any, TypeVar

W = TypeVar("W")

Figures = tuple[float, ...]


def _send(pipe: Pipe, measure: Callable[..., Figures], given: tuple[Any, ...]) -> None:
    pipe.send(tuple(measure(*given)))


def apart(measure: Callable[..., Figures], *given: Any) -> Figures:
    """What is measured in a fresh process, whose memory holds nothing of another round."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_send, args=(theirs, measure, given))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def in_turns(
    ways: Iterable[W], measure: Callable[[W], Figures], *, rounds: int
) -> dict[W, Figures]:
    """The medians of some rounds of each way: whatever else the machine does meets them alike."""
    found: dict[W, list[Figures]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, figures in found.items():
            figures.append(measure(way))
    return {
        way: tuple(statistics.median(column) for column in zip(*figures, strict=True))
        for way, figures in found.items()
    }
