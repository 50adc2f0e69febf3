"""
Everything that can go wrong, as one tree. Errors carry data; they never hold a key.

    ModelsLabError
    ├── TransientError               one look went wrong; the job is not over: look again later
    │   ├── TransportError      no usable answer came: network, timeout, cut connection
    │   ├── ServerError         the server is in trouble: 408, 425, 5xx
    │   ├── UnreadableReply     an answer came that says nothing: no JSON, no status, a redirect
    │   └── RateLimited         too many requests, by status 429 or by its words
    ├── Refused                 asking again cannot help until somebody acts
    │   ├── AuthenticationError the key is missing, wrong or expired: ends all tickets of that key
    │   ├── PaymentRequired     no credits or no plan: ends all tickets of that key
    │   ├── PermissionDenied    this plan may not do that: ends all tickets of that family
    │   └── InvalidRequest      the request itself is wrong: ends that ticket alone
    ├── GenerationFailed        the job itself failed; this is the server's last word
    │   └── TicketNotFound      the server knows no such id
    ├── WaitTimeout             the caller's patience ended, not the job (also a TimeoutError)
    ├── SubmitUncertain         work may or may not have been started; look before paying again
    ├── UnusableFile            a file to be submitted cannot be read, or is too long (a ValueError)
    ├── DownloadError           the job is done, one of its outputs could not be saved
    │   ├── LinkGone            nothing is behind the link: expired, or not there in time
    │   ├── LinkRefused         the link leads where no download goes: not https, not public
    │   ├── TransferFailed      the bytes did not come: network, server, cut again and again
    │   ├── WrongContent        what came is no such file: an error page, another kind of data
    │   ├── FileTooLarge        there are more bytes than allowed
    │   └── FileNotWritten      this machine could not write the file: disk full, no permission
    ├── ConnectionImpossible    as things are set up, no connection comes about: nothing is retried
    │   ├── UntrustedServer     the server's certificate is not valid: nothing was sent
    │   ├── HandshakeFailed     the server and this machine agree on no TLS
    │   └── UnusableProxy       the environment's proxy cannot be used: nothing was sent
    ├── ClientClosed            the client was closed while waiting, or used after that
    └── JournalError            the file of a batch cannot be used; nothing that it holds is lost
        ├── JournalLocked       another process holds it for longer than we wait
        ├── JournalFull         there is no room to write: a full disk, a quota, a limit
        ├── JournalReadOnly     it may not be written
        ├── JournalDamaged      it is torn, or its pages make no sense
        └── WrongJournal        it is no journal, or one of a newer version
"""

from copy import copy
from typing import ClassVar, Self

from .replies import Failed, Processing
from .saved_file import SavedFile
from .ticket import Ticket


class ModelsLabError(Exception):
    """
    The base of every error of this package.

    Attributes:
        advice: What to do about it, where that is the same for all errors of a kind. `str` adds it.
        ticket: The ticket it is about, if it is about one.
        status_code: The HTTP status that came, if one came.
        server_message: The server's own words, if any.
        retry_after: Seconds the server asked to wait, if it did.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        ticket: Ticket | None = None,
        status_code: int | None = None,
        server_message: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.ticket = ticket
        self.status_code = status_code
        self.server_message = server_message
        self.retry_after = retry_after

    def with_ticket(self, ticket: Ticket) -> Self:
        """The same error as a fresh object that speaks of this ticket: one for each who waits."""
        clone = copy(self)
        clone.ticket = ticket
        clone.__cause__ = self.__cause__
        return clone

    def __str__(self) -> str:
        text = f"{self.ticket}: {self.message}" if self.ticket else self.message
        return f"{text.rstrip('.')}; {self.advice}" if self.advice else text


class TransientError(ModelsLabError):
    """One look went wrong. The job is not over; the poller looks again within its budget."""


class TransportError(TransientError):
    """
    No usable answer came: the network, a timeout, a connection that was cut.

    Attributes:
        may_have_been_sent: False only if the request provably never left this machine.
    """

    def __init__(
        self, message: str = "", *, ticket: Ticket | None = None, may_have_been_sent: bool = True
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.may_have_been_sent = may_have_been_sent


class ServerError(TransientError):
    """The server is in trouble (408, 425 or 5xx)."""


class UnreadableReply(TransientError):
    """An answer came that says nothing about the job: not JSON, no status, a redirect."""


class RateLimited(TransientError):
    """Too many requests, by status 429 or by the words of the body."""


class Refused(ModelsLabError):
    """The server refuses, and asking again cannot help until somebody acts. The job goes on."""


class AuthenticationError(Refused):
    """The key is missing, wrong or expired."""

    advice = "check the key in MODELSLAB_API_KEY or api_key"


class PaymentRequired(Refused):
    """The account has no credits or no plan."""


class PermissionDenied(Refused):
    """The account's plan may not use this."""


class InvalidRequest(Refused):
    """The request itself is wrong."""


class GenerationFailed(ModelsLabError):
    """
    The job itself failed; this is the server's last word.

    Attributes:
        reply: The whole reply, with the server's message and the body as it came.
    """

    def __init__(self, reply: Failed) -> None:
        super().__init__(
            reply.message or f"the generation ended as {reply.reason}, the server gave no reason",
            ticket=reply.ticket,
            server_message=reply.message,
        )
        self.reply = reply
        self.args = (reply,)

    @staticmethod
    def of(reply: Failed) -> "GenerationFailed":
        """Make the error that stands for a failed reply."""
        return (TicketNotFound if reply.reason == "not_found" else GenerationFailed)(reply)


class TicketNotFound(GenerationFailed):
    """The server knows no such id: a mistyped one, another family's, or one long gone."""

    advice = "check the id and the family; results are kept for a limited time"


class WaitTimeout(ModelsLabError, TimeoutError):
    """
    The caller's patience ended, not the job: wait for the same ticket again to resume.

    Attributes:
        last: The last reply that came, if any.
    """

    def __init__(
        self, message: str = "", *, ticket: Ticket | None = None, last: Processing | None = None
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.last = last


class SubmitUncertain(ModelsLabError):
    """
    Work may or may not have been started. Look for its `track_id` before paying again.

    It is in webhooks, and in what the service shows of your account. The `__cause__` went wrong.

    Attributes:
        endpoint: What was submitted to.
        track_id: The mark that the request carried: the caller's own, or one that was made for it;
            "" where none was given and the endpoint takes none.
        payload_hash: The SHA-256 of the endpoint and its parameters, without the mark.
    """

    def __init__(
        self,
        message: str = "",
        *,
        endpoint: str = "",
        track_id: str = "",
        payload_hash: str = "",
    ) -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.track_id = track_id
        self.payload_hash = payload_hash


class UnusableFile(ModelsLabError, ValueError):
    """
    A file among the parameters of a submit is not there, empty, too long, or has changed since.

    Nothing was started. Where the system said why, the `__cause__` is its error.

    Attributes:
        parameter: Where it stood.
    """

    def __init__(self, message: str = "", *, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


class DownloadError(ModelsLabError):
    """
    The job is done, but one of its outputs could not be saved. Saving can be repeated.

    Attributes:
        url: The link, without its query; "" where the reply itself held the bytes.
        n: Which of the ticket's outputs, counted from 0.
        saved: The outputs of the ticket that were saved.
    """

    def __init__(
        self,
        message: str = "",
        *,
        ticket: Ticket | None = None,
        status_code: int | None = None,
        url: str = "",
        n: int = 0,
        saved: tuple[SavedFile, ...] = (),
    ) -> None:
        super().__init__(message, ticket=ticket, status_code=status_code)
        self.url = url
        self.n = n
        self.saved = saved


class LinkGone(DownloadError):
    """Nothing is behind the link: it has expired, or the file did not appear in time."""


class LinkRefused(DownloadError):
    """The link leads where no download goes: not https, not a public address, in a circle."""


class TransferFailed(DownloadError):
    """The bytes did not come: the network, the server, or a transfer that was cut every time."""


class WrongContent(DownloadError):
    """What came is no file of this family: an error page, or another kind of data."""


class FileTooLarge(DownloadError):
    """There are more bytes than allowed."""


class FileNotWritten(DownloadError):
    """This machine could not write the file: a full disk, a missing permission."""


class ConnectionImpossible(ModelsLabError):
    """
    As things are set up, no connection comes about. Nothing is retried, since nothing would change.

    Attributes:
        may_have_been_sent: Whether the request may have left this machine all the same. Only TLS 1.3 has
            such a case: there a server may ask for a certificate after the request went out.
    """

    def __init__(
        self, message: str = "", *, ticket: Ticket | None = None, may_have_been_sent: bool = False
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.may_have_been_sent = may_have_been_sent


class UntrustedServer(ConnectionImpossible):
    """The server's certificate is not valid for its name. Nothing was sent."""


class HandshakeFailed(ConnectionImpossible):
    """The server and this machine agree on no TLS: on no version, cipher or certificate."""

    advice = "check the scheme and the port of the base URL, and which TLS the server asks for"


class UnusableProxy(ConnectionImpossible):
    """The proxy that the environment names for this server cannot be used. Nothing was sent."""

    advice = "correct or unset that variable, or name the server's host in NO_PROXY"


class ClientClosed(ModelsLabError):
    """The client was closed while waiting, or used after that. Tickets can be waited for again."""


class JournalError(ModelsLabError):
    """
    The file of a batch cannot be used. What was committed to it before is not lost.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class JournalLocked(JournalError):
    """Another process holds the journal locked for longer than we wait."""


class JournalFull(JournalError):
    """There is no room to write the journal: the disk is full, or a quota or a limit is reached."""


class JournalReadOnly(JournalError):
    """The journal may not be written."""


class JournalDamaged(JournalError):
    """The journal is torn, or its pages make no sense."""


class WrongJournal(JournalError):
    """The file is no journal, or one of a newer version. It is left as it was."""
