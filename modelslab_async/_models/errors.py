"""
All errors of this package, as one tree. Errors carry data, but never an API key.

    ModelsLabError
    ├── TransientError          one request went wrong; the job goes on, so poll again later
    │   ├── TransportError      no usable reply: network, timeout, cut connection
    │   ├── ServerError         the server is in trouble: 408, 425, 5xx
    │   ├── UnreadableReply     the reply cannot be read: no JSON, no status, a redirect
    │   └── RateLimited         too many requests, by status 429 or by the server's message
    ├── Refused                 the server refuses this request until the cause is removed
    │   ├── AuthenticationError the API key is missing, wrong or expired: ends all waits with it
    │   ├── PaymentRequired     no credits or no plan: ends all waits with that API key
    │   ├── PermissionDenied    the plan does not include this: ends all waits for that family
    │   └── InvalidRequest      the request itself is wrong: ends only the wait for that ticket
    ├── GenerationFailed        the job itself failed; the server's reply is final
    │   └── TicketNotFound      the server knows no such id
    ├── WaitTimeout             the caller's timeout passed, the job goes on (a TimeoutError)
    ├── SubmitTimeout           the caller's timeout passed, nothing was started (a TimeoutError)
    ├── SubmitLimitReached      the client has made all the submits that its caller allowed
    ├── SubmitUncertain         the work may have been started; check before paying again
    ├── UnusableFile            a file to submit cannot be read or is too large (a ValueError)
    ├── SubmissionConflict      another submission used the same submission key (a ValueError)
    ├── DownloadError           the job is done, but one of its outputs could not be saved
    │   ├── LinkGone            the link has no file: expired, or not there in time
    │   ├── LinkRefused         the link must not be used: it is not https, or not public
    │   ├── TransferFailed      the bytes did not arrive: network, server, repeated cuts
    │   ├── WrongContent        the bytes are an error page, or another kind of data
    │   ├── FileTooLarge        there are more bytes than allowed
    │   └── FileNotWritten      this machine could not write the file: disk full, no permission
    ├── ConnectionImpossible    the settings allow no connection: nothing is retried
    │   ├── UntrustedServer     the server's certificate is not valid: nothing was sent
    │   ├── HandshakeFailed     the server and this machine have no TLS setting in common
    │   ├── UnusableProxy       the configured proxy cannot be used: nothing was sent
    │   └── RequestBlocked      a test was about to send a real request: nothing was sent
    ├── ClientClosed            the client was closed during the wait or before the call
    ├── AccountError            a shared account cannot be used
    │   └── WrongAccount        the file or schema holds no account of this version
    └── JournalError            the journal of a batch cannot be used; recorded data is not lost
        ├── JournalLocked       another process kept it locked for too long
        ├── JournalFull         there is no room to write: a full disk, a quota, a limit
        ├── JournalReadOnly     writing to it is not allowed
        ├── JournalDamaged      its file is incomplete or inconsistent
        └── WrongJournal        the file is no journal, or one of a newer version
"""

from typing import Self

from .error_copies import bare_copy, own_copy
from .replies import Failed, Processing
from .ticket import Ticket


class ModelsLabError(Exception):
    """
    The base of every error of this package.

    Attributes:
        advice: What the caller can do about the error; "" if that is not known. `str` of the error
            ends with it.
        ticket: The ticket that the error is about, if any.
        status_code: The HTTP status of the reply, if there was one.
        server_message: The message in the server's reply, if any.
        retry_after: The seconds that the server asked the client to wait, if any.
    """

    advice: str = ""

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

    def __copy__(self) -> Self:
        return bare_copy(self)

    def with_ticket(self, ticket: Ticket) -> Self:
        """Return a copy of this error with another ticket."""
        clone = own_copy(self).with_traceback(None)
        clone.ticket = ticket
        return clone

    def __str__(self) -> str:
        text = f"{self.ticket}: {self.message}" if self.ticket else self.message
        return f"{text.rstrip('.')}; {self.advice}" if self.advice else text


class TransientError(ModelsLabError):
    """One request went wrong. The job goes on, and the poller retries within its limits."""


class TransportError(TransientError):
    """
    No usable reply came: a network fault, a timeout, or a cut connection.

    Attributes:
        may_have_been_sent: False only if the request provably never left this machine.
    """

    def __init__(
        self, message: str = "", *, ticket: Ticket | None = None, may_have_been_sent: bool = True
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.may_have_been_sent = may_have_been_sent


class ServerError(TransientError):
    """The server could not handle the request: it replied with status 408, 425 or 5xx."""

    advice = (
        "the fault is at the service: ask again later, and report it to the service if it lasts"
    )


class UnreadableReply(TransientError):
    """The reply says nothing about the job: it is not JSON, has no status, or is a redirect."""


class RateLimited(TransientError):
    """The server got too many requests: its reply has the status 429 or a message that says so."""


class Refused(ModelsLabError):
    """The server refuses the request. Retrying cannot help until the cause is removed."""


class AuthenticationError(Refused):
    """The API key is missing, wrong or expired."""

    advice = "check the key in MODELSLAB_API_KEY or api_key"


class PaymentRequired(Refused):
    """The customer's account at the service has no credits or no plan."""


class PermissionDenied(Refused):
    """The plan of the customer's account does not include what was requested."""


class InvalidRequest(Refused):
    """The request itself is wrong."""


class GenerationFailed(ModelsLabError):
    """
    The server says that the job failed. This is final, so the ticket is not polled again.

    Attributes:
        reply: The whole reply, with the server's message and the body as received.
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
        """Make the error for a reply which says that the job failed."""
        return (TicketNotFound if reply.reason == "not_found" else GenerationFailed)(reply)


class TicketNotFound(GenerationFailed):
    """The server knows no such id: it is mistyped, of another family, or expired."""

    advice = "check the id and the family; results are kept for a limited time"


class WaitTimeout(ModelsLabError, TimeoutError):
    """
    The caller's timeout passed, but the job goes on. To resume, wait for the same ticket again.

    Attributes:
        last: The most recent reply, if any.
    """

    def __init__(
        self, message: str = "", *, ticket: Ticket | None = None, last: Processing | None = None
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.last = last


class SubmitUncertain(ModelsLabError):
    """
    The submit may or may not have started work. Search for the work before paying again.

    Webhooks contain the `track_id`, and the service's account pages show it. If the endpoint takes
    no `track_id`, search by the time of the submit. The `__cause__` is the error of the request.

    Attributes:
        ticket: The ticket that an error reply names, if any. Wait for it first.
        endpoint: The endpoint of the submit.
        track_id: The `track_id` in the request, from the caller or the client; "" if the request
            has none. If the error is about an earlier submit in the journal of a batch, this is the
            journal's `track_id`. The journal uses a random string if the request had none.
        payload_hash: The SHA-256 of the endpoint and the parameters, without track_id and webhook.
    """

    def __init__(
        self,
        message: str = "",
        *,
        ticket: Ticket | None = None,
        endpoint: str = "",
        track_id: str = "",
        payload_hash: str = "",
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.endpoint = endpoint
        self.track_id = track_id
        self.payload_hash = payload_hash


class UnusableFile(ModelsLabError, ValueError):
    """
    A file among the parameters of a submit is missing, empty or too large, or it has changed.

    Nothing was started. If the operating system reported an error, it is the `__cause__`.

    Attributes:
        parameter: The parameter that holds the file.
    """

    def __init__(self, message: str = "", *, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


class ConnectionImpossible(ModelsLabError):
    """
    No connection can be made with the present settings. A retry would fail in the same way.

    Attributes:
        may_have_been_sent: Whether the request may have left this machine. With TLS 1.3, a server
            can report a missing client certificate after the request was sent.
    """

    def __init__(
        self, message: str = "", *, ticket: Ticket | None = None, may_have_been_sent: bool = False
    ) -> None:
        super().__init__(message, ticket=ticket)
        self.may_have_been_sent = may_have_been_sent


class UntrustedServer(ConnectionImpossible):
    """The server's certificate is not valid. Nothing was sent."""


class HandshakeFailed(ConnectionImpossible):
    """
    The TLS handshake with the server failed.

    The two sides cannot agree on a TLS version, a cipher or a kind of certificate.
    """

    advice = "check the scheme and the port of the base URL, and which TLS the server asks for"


class UnusableProxy(ConnectionImpossible):
    """The proxy that is configured for this server cannot be used. Nothing was sent."""

    advice = (
        "correct or unset the variable or argument that names it, or name the server's host in "
        "NO_PROXY"
    )


class RequestBlocked(ConnectionImpossible):
    """
    A test was about to send a real request by mistake. Nothing was sent.

    The pytest plugin stopped the request. Or the test uses a mock (respx, pytest-httpx) that cannot
    intercept requests of the client's transport. The message says what to write instead.
    """


class ClientClosed(ModelsLabError):
    """The client was closed during the wait or before the call. To go on, use a new client."""
