"""What the rules of a scenario know about each host and ticket. Checks nothing."""

import math

from attrs import Factory, define

from modelslab_async import Ticket
from modelslab_async._scheduling.watcher_protocol import Watcher


@define(eq=False)
class HostState:
    """What the replies of one host imply for further polls of it."""

    is_proven: bool = False
    in_flight: int = 0
    last_poll_started: float = -math.inf
    paused_at: float = -math.inf
    paused_until: float = -math.inf
    failures_in_a_row: int = 0
    setbacks: int = 0

    def pause(self, now: float, seconds: float) -> None:
        self.is_proven = False
        self.paused_at = now
        self.paused_until = max(self.paused_until, now + seconds)


@define(eq=False)
class OpenTicket:
    """One ticket, from its first watcher until it ends or its last watcher leaves."""

    ticket: Ticket
    added: float
    watchers: set[Watcher] = Factory(set)
    in_flight: bool = False
    due: float = -math.inf
    eta: float | None = None
    answered: bool = False
    failures: int = 0
    polls: int = 0
    valid_outcomes: list[object] = Factory(list)


@define(eq=False)
class ObservedPoll:
    """One poll. The network sets `hint`: for how many seconds the reply asks to wait."""

    open_ticket: OpenTicket
    host_state: HostState
    started: float
    hint: float | None = None
