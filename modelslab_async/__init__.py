"""Await queued ModelsLab generations: one id or a million, of any API family."""

from ._client import Client
from ._core.catalog import FAMILIES
from ._core.errors import (
    AuthenticationError,
    ClientClosed,
    GenerationFailed,
    InvalidRequest,
    LookFault,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    Refused,
    ServerError,
    SubmitUncertain,
    TicketNotFound,
    TransportError,
    UnreadableReply,
    UntrustedServer,
    WaitTimeout,
)
from ._core.events import Event, Faulted, Looked, Paused, Settled
from ._core.families import Call, Family
from ._core.learning import Learned
from ._core.outcomes import Outcome, Unresolved
from ._core.pacing import Pace
from ._core.reading import read_reply
from ._core.records import from_dict, to_dict
from ._core.replies import Failed, Processing, Reply, Success
from ._core.tickets import Ticket, TicketLike
from ._inbox import Tickets
from ._transport.wire import HTTP, Request, Response
from ._version import __version__

__all__ = [
    "FAMILIES",
    "HTTP",
    "AuthenticationError",
    "Call",
    "Client",
    "ClientClosed",
    "Event",
    "Failed",
    "Family",
    "Faulted",
    "GenerationFailed",
    "InvalidRequest",
    "Learned",
    "LookFault",
    "Looked",
    "ModelsLabError",
    "Outcome",
    "Pace",
    "Paused",
    "PaymentRequired",
    "PermissionDenied",
    "Processing",
    "RateLimited",
    "Refused",
    "Reply",
    "Request",
    "Response",
    "ServerError",
    "Settled",
    "SubmitUncertain",
    "Success",
    "Ticket",
    "TicketLike",
    "TicketNotFound",
    "Tickets",
    "TransportError",
    "UnreadableReply",
    "Unresolved",
    "UntrustedServer",
    "WaitTimeout",
    "__version__",
    "from_dict",
    "read_reply",
    "to_dict",
]

for _name in __all__:
    if callable(_public := globals()[_name]) and hasattr(_public, "__module__"):
        _public.__module__ = __name__
