"""
Samples which layer of the package a program spends its CPU time in. It changes nothing.

A timer of the process's CPU time interrupts the program. The innermost function says the layer:
asyncio's own functions are the event loop, and those of other libraries count for their caller.
"""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

_INTERVAL_S = 0.001
# From the socket to the outcome. The first text that is in the path of a file says its layer.
LAYERS = {
    "event loop and sockets": ("/asyncio/", "/selectors.py", "/socket.py"),
    "connection and codec": ("/_transport/http11/", "/h11/"),
    "request, key, deadline": ("/_transport/", "/_registry/"),
    "parsing": ("/_parsing/", "/_models/replies"),
    "schedule": ("/_scheduling/",),
    "poller": ("/_polling/",),
    "stream and tickets": ("/_engine/", "/_aio/", "/_models/", "/_client.py"),
}
_OTHER = "caller"
# Functions of these modules of asyncio are called by the package for its own purposes.
_NOT_THE_LOOP = ("/asyncio/locks.py", "/asyncio/timeouts.py")


def layer_of(path: str) -> str | None:
    """Return the layer of a file; None if its caller says the layer."""
    if any(each in path for each in _NOT_THE_LOOP):
        return None
    for layer, parts in LAYERS.items():
        if any(part in path for part in parts):
            return layer
    return None


def sampled(run: Callable[[], object]) -> dict[str, float]:
    """Run a function, and return the share of its CPU time in each layer."""
    found: Counter[str] = Counter()
    known: dict[str, str | None] = {}

    def on_timer(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            path = frame.f_code.co_filename
            if path not in known:
                known[path] = layer_of(Path(path).as_posix())
            if (layer := known[path]) is not None:
                found[layer] += 1
                return
            frame = frame.f_back
        found[_OTHER] += 1

    before = signal.signal(signal.SIGPROF, on_timer)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
    try:
        run()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    total = sum(found.values())
    return {layer: round(found[layer] / total, 4) for layer in (*LAYERS, _OTHER)}
