"""
Computes how many poll permits an API key has, and how long each must rest between polls.

A shared account limits polls by means of permits. For a rate of 200 polls a second, it has 200
permits for each API key. Each poll needs a permit. After the poll has started, its permit rests:
for one second, no other poll can use it. So at most 200 polls start within any second, whatever the
clients do.

The account grants a permit to a client for one poll, together with a start time for this poll. A
busy process may start the poll late, by up to `MAX_LATENESS_S`. The permit rests from the start of
the poll. Until the client has reported the start, the account assumes the latest possible start. If
the client reports that it started no poll, the permit need not rest.

A permit is open from its grant until the client has reported the end of the poll. A client with
open permits reports every 0.25 s. If a client is silent for `MAX_SILENCE_S`, it may be cut off from
the account and from the service. The network may then hold its polls back, and deliver them at any
moment. So the account does not grant the client's open permits again until the client reports. If
the client stays silent, it gives up its polls after `GIVE_UP_AFTER_S`. The account may grant its
permits to others after `MAX_POLL_AGE_S`.

Granted times are evenly spaced, so that the service gets no bursts. A poll that starts at most
`FREE_LATENESS_S` late delays no other poll.

The account stores only permits that were granted before: permit 0, permit 1 and so on. It grants a
new permit only if no stored permit can be granted. So an account stays small if its clients never
reach its rate. One database index finds the free permits, and another finds the permit of a
reported poll. So the work for one poll hardly grows with the rate.
"""

import math
from typing import Final

# The number of seconds for which a granted poll time stays valid.
MAX_LATENESS_S: Final = 0.25
# A poll that starts at most this many seconds late delays no other poll. At the full rate, the
# permits are granted in turn. `step_seconds` leaves at least this much time between the end of a
# permit's rest and the permit's next poll time.
FREE_LATENESS_S: Final = 0.02
# A permit rests longer than the rate requires, by this fraction. So polls keep to the rate even if
# the network delays one of them a little, and the server gets it together with later polls.
HELD_BACK_SHARE: Final = 0.03
# A client that has sent no report for this many seconds counts as silent. Clients with open permits
# report more often: every 0.25 s. A permit rests for longer than `MAX_SILENCE_S`. So the account
# notices that a client is silent before it grants the client's permits to others.
MAX_SILENCE_S: Final = 0.75
# A client that gets no answers from the account gives up each poll older than this many seconds.
GIVE_UP_AFTER_S: Final = 5.0
# The account may grant an open permit of a silent client again this many seconds after the latest
# possible start of its poll. This is twice `GIVE_UP_AFTER_S`, because a busy event loop may give up
# the poll late.
MAX_POLL_AGE_S: Final = 2.0 * GIVE_UP_AFTER_S
# The clients that ask for poll times have equal shares of the rate. One answer grants a client its
# share for at most this many seconds. With a higher value, a new client would wait longer for its
# first poll times. With a lower value, clients would have no poll times left during a slow answer.
MAX_SHARE_S: Final = 0.4
# If only one client asks for poll times, one answer grants it the full rate for at most this many
# seconds. The time is short, because a client may leave granted poll times unused.
MAX_ANSWER_S: Final = 0.25
# A client keeps its share of the rate for this many seconds after it has asked for poll times.
MAX_ASK_GAP_S: Final = 1.0
# If an account's rate is lowered, the account needs fewer permits. It removes the surplus permits
# once all of them have been unused for this many rest times. If it removed them at once, and the
# rate were raised again, it would replace them with new permits, which need not rest. So it could
# exceed the rate. Two rest times at the lower rate are enough, because a permit rests at most twice
# as long at the higher rate.
SURPLUS_RESTS: Final = 2.0


def count_permits(rate: float) -> int:
    """
    Return the number of permits for a rate.

    For 2.5 polls a second, there are 3 permits, and each can be used once every 1.2 seconds.
    """
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
    """Return the seconds from one granted poll time to the next. Arguments: see `rest_seconds`."""
    return (1.0 + FREE_LATENESS_S + HELD_BACK_SHARE + clock_error_s) / rate
