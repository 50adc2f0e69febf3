"""An event loop whose time passes with the function calls of its thread, not with a clock."""

import sys
from typing import Any

from virtual_time import JumpingLoop

# What a call of the client's code takes on average, on a machine where a poll takes about 50 us.
_SECONDS_PER_CALL = 0.15e-6


class CallTimeLoop(JumpingLoop):
    """
    Time jumps while there is nothing to do, and passes with each function call otherwise.

    So the work of the client takes time, but the same time on every machine, however busy it is.
    Functions written in Python and in C count alike. A loop that calls nothing takes no time.
    """

    def __init__(self) -> None:
        self._call_count = 0
        super().__init__()

    def time(self) -> float:
        return self.now + self.busy_s()

    def busy_s(self) -> float:
        """Return how much time the calls have taken."""
        return self._call_count * _SECONDS_PER_CALL

    def run_forever(self) -> None:
        def count(_frame: Any, event: str, _argument: Any) -> None:
            if event in ("call", "c_call"):
                self._call_count += 1

        sys.setprofile(count)
        try:
            super().run_forever()
        finally:
            sys.setprofile(None)
