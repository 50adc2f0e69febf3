"""Await queued ModelsLab generations: one id or a million, of any API family."""

from types import FunctionType

from ._client import Client
from ._downloads import Downloads, Saved, SaveResult, Unsaved, Verified, download, verify
from ._engine.bulk_generation import GenerationRequest
from ._models.download_errors import (
    DownloadError,
    FileNotWritten,
    FileTooLarge,
    LinkGone,
    LinkRefused,
    TransferFailed,
    WrongContent,
)
from ._models.errors import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    GenerationFailed,
    HandshakeFailed,
    InvalidRequest,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    Refused,
    ServerError,
    SubmitUncertain,
    TicketNotFound,
    TransientError,
    TransportError,
    UnreadableReply,
    UntrustedServer,
    UnusableFile,
    UnusableProxy,
    WaitTimeout,
)
from ._models.events import Completed, Event, Paused, Polled, PollFailed, Submitted
from ._models.journal_errors import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLocked,
    JournalReadOnly,
    WrongJournal,
)
from ._models.outcomes import Outcome, Unresolved, Unsubmitted
from ._models.replies import Failed, Processing, Reply, Success
from ._models.saved_file import SavedFile
from ._models.serialization import from_dict, to_dict
from ._models.ticket import Ticket, TicketLike
from ._models.version import __version__
from ._parsing.reply import read_reply
from ._polling.stream_buffer import Tickets
from ._registry.endpoint import Endpoint
from ._registry.endpoints import ENDPOINTS
from ._registry.families import FAMILIES
from ._registry.family import Call, Family
from ._scheduling.adaptive.adaptive_pace import AdaptivePace
from ._scheduling.pace import Pace
from ._transport.base import Request, Response, Transport
from .batch import Batch
from .journal import Report

__all__ = [
    "ENDPOINTS",
    "FAMILIES",
    "AdaptivePace",
    "AuthenticationError",
    "Batch",
    "Call",
    "Client",
    "ClientClosed",
    "Completed",
    "ConnectionImpossible",
    "DownloadError",
    "Downloads",
    "Endpoint",
    "Event",
    "Failed",
    "Family",
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
    "LinkGone",
    "LinkRefused",
    "ModelsLabError",
    "Outcome",
    "Pace",
    "Paused",
    "PaymentRequired",
    "PermissionDenied",
    "PollFailed",
    "Polled",
    "Processing",
    "RateLimited",
    "Refused",
    "Reply",
    "Report",
    "Request",
    "Response",
    "SaveResult",
    "Saved",
    "SavedFile",
    "ServerError",
    "SubmitUncertain",
    "Submitted",
    "Success",
    "Ticket",
    "TicketLike",
    "TicketNotFound",
    "Tickets",
    "TransferFailed",
    "TransientError",
    "Transport",
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
