"""Await queued ModelsLab generations: one id or a million, of any API family."""

import sys
from importlib import import_module
from types import FunctionType

# Define `TYPE_CHECKING` here, because importing `typing` takes ten times as long as the rest of
# this module.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from ._account.postgres_account import PostgresAccount
    from ._account.sqlite_account import SQLiteAccount
    from ._client import Client
    from ._downloads.download_generation import download
    from ._downloads.downloads import Downloads
    from ._downloads.save_result_types import Saved, SaveResult, Unsaved
    from ._downloads.verify_saved_files import Verified, verify
    from ._engine.bulk_generation import GenerationRequest
    from ._models.account_errors import AccountError, WrongAccount
    from ._models.download_errors import (
        DownloadError,
        FileNotWritten,
        FileTooLarge,
        LinkGone,
        LinkRefused,
        TransferFailed,
        WrongContent,
    )
    from ._models.download_events import (
        Downloaded,
        DownloadFailed,
        DownloadResumed,
        DownloadStarted,
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
        RequestBlocked,
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
    from ._models.events import (
        Completed,
        Event,
        Paused,
        Polled,
        PollFailed,
        SlotAwaited,
        SubmitFailed,
        SubmitRetried,
        SubmitSent,
        Submitted,
        SubmitUnconfirmed,
        Uploaded,
    )
    from ._models.journal_errors import (
        JournalDamaged,
        JournalError,
        JournalFull,
        JournalLocked,
        JournalReadOnly,
        SubmissionConflict,
        WrongJournal,
    )
    from ._models.loaded_file import LoadedFile
    from ._models.replies import Failed, Processing, Reply, Success
    from ._models.saved_file import SavedFile
    from ._models.serialization import from_dict, to_dict
    from ._models.submission import Submission
    from ._models.ticket import Ticket, TicketLike, Tickets
    from ._models.unresolved_outcomes import Outcome, Unresolved, Unsubmitted
    from ._models.unsent_errors import SubmitLimitReached, SubmitTimeout
    from ._models.version import __version__
    from ._parsing.reply import read_reply
    from ._registry.endpoint import Endpoint
    from ._registry.endpoints import ENDPOINTS
    from ._registry.families import FAMILIES
    from ._registry.family import Call, Family
    from ._scheduling.adaptive.adaptive_pace import AdaptivePace
    from ._scheduling.pace import Pace
    from ._transport.http_transport import HTTPTransport
    from ._transport.transport_protocol import Request, Response, Transport
    from .batch import Batch
    from .journal import Report

__all__ = [
    "ENDPOINTS",
    "FAMILIES",
    "AccountError",
    "AdaptivePace",
    "AuthenticationError",
    "Batch",
    "Call",
    "Client",
    "ClientClosed",
    "Completed",
    "ConnectionImpossible",
    "DownloadError",
    "DownloadFailed",
    "DownloadResumed",
    "DownloadStarted",
    "Downloaded",
    "Downloads",
    "Endpoint",
    "Event",
    "Failed",
    "Family",
    "FileNotWritten",
    "FileTooLarge",
    "GenerationFailed",
    "GenerationRequest",
    "HTTPTransport",
    "HandshakeFailed",
    "InvalidRequest",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalLocked",
    "JournalReadOnly",
    "LinkGone",
    "LinkRefused",
    "LoadedFile",
    "ModelsLabError",
    "Outcome",
    "Pace",
    "Paused",
    "PaymentRequired",
    "PermissionDenied",
    "PollFailed",
    "Polled",
    "PostgresAccount",
    "Processing",
    "RateLimited",
    "Refused",
    "Reply",
    "Report",
    "Request",
    "RequestBlocked",
    "Response",
    "SQLiteAccount",
    "SaveResult",
    "Saved",
    "SavedFile",
    "ServerError",
    "SlotAwaited",
    "Submission",
    "SubmissionConflict",
    "SubmitFailed",
    "SubmitLimitReached",
    "SubmitRetried",
    "SubmitSent",
    "SubmitTimeout",
    "SubmitUncertain",
    "SubmitUnconfirmed",
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
    "Uploaded",
    "Verified",
    "WaitTimeout",
    "WrongAccount",
    "WrongContent",
    "WrongJournal",
    "__version__",
    "download",
    "from_dict",
    "read_reply",
    "to_dict",
    "verify",
]

# Each module is imported when one of its names is first used. Importing all modules takes several
# times as long as importing httpx.
_NAMES_BY_MODULE = {
    "_account.postgres_account": "PostgresAccount",
    "_account.sqlite_account": "SQLiteAccount",
    "_client": "Client",
    "_downloads.downloads": "Downloads",
    "_downloads.download_generation": "download",
    "_downloads.save_result_types": "SaveResult Saved Unsaved",
    "_downloads.verify_saved_files": "Verified verify",
    "_engine.bulk_generation": "GenerationRequest",
    "_models.account_errors": "AccountError WrongAccount",
    "_models.download_errors": (
        "DownloadError FileNotWritten FileTooLarge LinkGone LinkRefused TransferFailed WrongContent"
    ),
    "_models.download_events": "DownloadFailed DownloadResumed DownloadStarted Downloaded",
    "_models.errors": (
        "AuthenticationError ClientClosed ConnectionImpossible GenerationFailed "
        "HandshakeFailed InvalidRequest ModelsLabError PaymentRequired PermissionDenied "
        "RateLimited Refused RequestBlocked ServerError SubmitUncertain TicketNotFound "
        "TransientError TransportError UnreadableReply UntrustedServer UnusableFile "
        "UnusableProxy WaitTimeout"
    ),
    "_models.events": (
        "Completed Event Paused PollFailed Polled SlotAwaited SubmitFailed SubmitRetried "
        "SubmitSent SubmitUnconfirmed Submitted Uploaded"
    ),
    "_models.journal_errors": (
        "JournalDamaged JournalError JournalFull JournalLocked JournalReadOnly SubmissionConflict "
        "WrongJournal"
    ),
    "_models.loaded_file": "LoadedFile",
    "_models.unresolved_outcomes": "Outcome Unresolved Unsubmitted",
    "_models.replies": "Failed Processing Reply Success",
    "_models.saved_file": "SavedFile",
    "_models.serialization": "from_dict to_dict",
    "_models.submission": "Submission",
    "_models.unsent_errors": "SubmitLimitReached SubmitTimeout",
    "_models.ticket": "Ticket TicketLike Tickets",
    "_models.version": "__version__",
    "_parsing.reply": "read_reply",
    "_registry.endpoint": "Endpoint",
    "_registry.endpoints": "ENDPOINTS",
    "_registry.families": "FAMILIES",
    "_registry.family": "Call Family",
    "_scheduling.adaptive.adaptive_pace": "AdaptivePace",
    "_scheduling.pace": "Pace",
    "_transport.transport_protocol": "Request Response Transport",
    "_transport.http_transport": "HTTPTransport",
    "batch": "Batch",
    "journal": "Report",
}
_MODULE_BY_NAME = {
    name: f"{__name__}.{module}"
    for module, names in _NAMES_BY_MODULE.items()
    for name in names.split()
}


def __getattr__(name: str) -> "Any":
    if name not in _MODULE_BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module(_MODULE_BY_NAME[name])
    _publish_imported()
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _publish_imported() -> None:
    """
    Copy the public objects of all imported modules into the namespace of this package.

    The `__module__` of each class and function becomes the name of this package.
    """
    for name, module_name in _MODULE_BY_NAME.items():
        public = getattr(sys.modules.get(module_name), name, None)
        if public is not None and name not in globals():
            if isinstance(public, (type, FunctionType)):
                public.__module__ = __name__
            globals()[name] = public
