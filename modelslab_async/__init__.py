"""Await queued ModelsLab generations: one id or a million, of any API family."""

from types import FunctionType

from ._client import Client, GenerationRequest
from ._core.catalog import FAMILIES
from ._core.endpoint_catalog import ENDPOINTS
from ._core.endpoints import Endpoint
from ._core.errors import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    DownloadError,
    FileNotWritten,
    FileTooLarge,
    GenerationFailed,
    HandshakeFailed,
    InvalidRequest,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLocked,
    JournalReadOnly,
    LinkGone,
    LinkRefused,
    LookFault,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    Refused,
    ServerError,
    SubmitUncertain,
    TicketNotFound,
    TransferFailed,
    TransportError,
    UnreadableReply,
    UntrustedServer,
    UnusableFile,
    UnusableProxy,
    WaitTimeout,
    WrongContent,
    WrongJournal,
)
from ._core.events import Event, Faulted, Looked, Paused, Settled, Submitted
from ._core.families import Call, Family
from ._core.files import File
from ._core.learning import Learned
from ._core.outcomes import Outcome, Unresolved, Unsubmitted
from ._core.pacing import Pace
from ._core.reading import read_reply
from ._core.records import from_dict, to_dict
from ._core.replies import Failed, Processing, Reply, Success
from ._core.tickets import Ticket, TicketLike
from ._downloads import Delivery, Downloads, Saved, Unsaved, Verified, download, verify
from ._inbox import Tickets
from ._transport.wire import HTTP, Request, Response
from ._version import __version__
from .batch import Batch
from .journal import Report

__all__ = [
    "ENDPOINTS",
    "FAMILIES",
    "HTTP",
    "AuthenticationError",
    "Batch",
    "Call",
    "Client",
    "ClientClosed",
    "ConnectionImpossible",
    "Delivery",
    "DownloadError",
    "Downloads",
    "Endpoint",
    "Event",
    "Failed",
    "Family",
    "Faulted",
    "File",
    "FileNotWritten",
    "FileTooLarge",
    "GenerationFailed",
    "GenerationRequest",
    "HandshakeFailed",
    "InvalidRequest",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalLocked",
    "JournalReadOnly",
    "Learned",
    "LinkGone",
    "LinkRefused",
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
    "Report",
    "Request",
    "Response",
    "Saved",
    "ServerError",
    "Settled",
    "SubmitUncertain",
    "Submitted",
    "Success",
    "Ticket",
    "TicketLike",
    "TicketNotFound",
    "Tickets",
    "TransferFailed",
    "TransportError",
    "UnreadableReply",
    "Unresolved",
    "Unsaved",
    "Unsubmitted",
    "UntrustedServer",
    "UnusableFile",
    "UnusableProxy",
    "Verified",
    "WaitTimeout",
    "WrongContent",
    "WrongJournal",
    "__version__",
    "download",
    "from_dict",
    "read_reply",
    "to_dict",
    "verify",
]

for _name in __all__:
    if isinstance(_public := globals()[_name], (type, FunctionType)):
        _public.__module__ = __name__
