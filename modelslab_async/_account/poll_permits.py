"""
The arithmetic of the poll permits of one key. It counts, and stores nothing.

An account with a rate of 200 has 200 permits. Each permit may start one poll, and then rests for a
second. So at most 200 polls start within any second, whatever the clients do with their permits:
between two polls of the same permit lies a second, so no permit has two polls within a second.

The account grants a permit with a time at which its poll may start. A busy process often wakes up
late, and may start the poll up to `MAX_LATENESS_S` after that time. The permit rests from then on.
The client reports the start with its next report. Until then, the account assumes the latest time
at which the poll can start. A permit whose time expired unused does not rest at all, as soon as the
client has reported that.

Granted times are evenly spaced, so that the service gets no bursts. The spacing leaves
`FREE_LATENESS_S` for each permit. Polls that start no later delay no other poll.
"""

import math
from typing import Final

# The number of seconds for which a granted poll time stays valid.
MAX_LATENESS_S: Final = 0.25
# Seconds by which each poll may start late without a loss of throughput, at a rate of 1 or more.
FREE_LATENESS_S: Final = 0.02
# A permit rests for longer than a second by this share. It leaves room for polls that the network
# delays, and that therefore arrive at the same time as later polls.
HELD_BACK_SHARE: Final = 0.03


def count_permits(rate: float) -> int:
    """Return the number of permits. 2.5 polls a second are 3 permits that rest for 1.2 seconds."""
    return math.ceil(rate)


def rest_seconds(rate: float, clock_error_s: float = 0.0) -> float:
    """
    Return the minimum number of seconds between the starts of two polls with the same permit.

    Args:
        rate: The maximum number of polls a second of all clients together.
        clock_error_s: The maximum error of a client's estimate of the account's time, in seconds.
    """
    return count_permits(rate) / rate * (1.0 + HELD_BACK_SHARE + clock_error_s)


def step_seconds(rate: float, clock_error_s: float = 0.0) -> float:
    """Return the number of seconds between two granted poll times. See `rest_seconds`."""
    return (1.0 + FREE_LATENESS_S + HELD_BACK_SHARE + clock_error_s) / rate
