"""
Finds out which error a response means, and makes that error. The caller raises the error.

The server sometimes refuses a request with the HTTP status 200. So a refusal is also recognised by
its message.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from attrs import frozen

from .._models.errors import (
    AuthenticationError,
    InvalidRequest,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    ServerError,
    UnreadableReply,
)
from .._models.ticket import Ticket
from .json_body import UnreadableBodyError, first_text, is_html, searchable_part
from .retry_after import Headers, header, retry_after
from .status import JobState, Meaning

_ERRORS_BY_STATUS: Mapping[int, type[ModelsLabError]] = {
    401: AuthenticationError,
    402: PaymentRequired,
    403: PermissionDenied,
    408: ServerError,
    425: ServerError,
    429: RateLimited,
}

# The errors that concern the customer's account at the service. A firewall may send an HTML page
# with the status 401, 402 or 403. Such a page says nothing about the account, so it counts as
# unreadable.
_ACCOUNT_ERRORS = (AuthenticationError, PaymentRequired, PermissionDenied)

_JOB_WORDS = r"(request|execution|run|job|task|generation|training|id)"
_NO_SUCH_TICKET = re.compile(
    rf"^(the |this |your )?{_JOB_WORDS}([ _]id)?( with id)?( [\w-]+)? (was |is |does |could )?"
    r"(not (be )?(found|exist)\b|unknown\W*$)"
    rf"|^no such {_JOB_WORDS}\b|^no {_JOB_WORDS} (was )?found\b|^invalid {_JOB_WORDS}[ _]id\b",
    re.IGNORECASE,
)

_NO_SUCH_ROUTE = re.compile(
    r"\b(route|url|endpoint|page|path)\b.{0,300}\bnot (be )?found\b", re.IGNORECASE
)

# When the server refuses an API key, the client ends every ticket of that key. So the message of a
# failed job must never be mistaken for a refusal. Three rules ensure this:
# - A phrase that means a refusal must start a sentence. "Unable to download x: 429 Too Many
#   Requests" is no refusal, because the 429 is about x.
# - If a job `failed`, its message is searched only for phrases about the API key or payment.
# - The service calls APIs of other companies. Their messages, such as "Incorrect API key provided",
#   do not count.
_SENTENCE_START = (
    r"(?:^|[.!?] |^(?:error|unauthori[sz]ed|authentication (?:error|failed)|access denied)\W{1,3})"
    r"(?:(?:your|the|this|you|please|have|are|provided) )*"
)
_ACCOUNT_PHRASES: Mapping[type[ModelsLabError], tuple[str, ...]] = {
    AuthenticationError: (
        r"(provide a valid|invalid|expired|missing|wrong|unknown|no) api[ _-]?key\b",
        r"api[ _-]?key (field |you provided )?(is |was |has )?(required|missing|invalid|wrong)",
        r"api[ _-]?key (is not valid|(is |was |has )?(been )?(expired|disabled|revoked|not found))",
        r"key (field )?is required",
        r"(unauthori[sz]ed( request| access)?|unauthenticated|(invalid|missing) key)\W*$",
    ),
    PaymentRequired: (
        r"(insufficient|not enough|(run )?out of) (api |wallet )?(credits?|balance|funds)\b",
        r"(don.t|do not) have (enough|sufficient|any) (api |wallet )?(credits?|balance|funds)\b",
        r"no (more )?(credits?|balance|funds)( left| remaining| available)?\W*$",
        r"credits? (are |have |has )?(been )?(exhausted|expired|used up|run out)",
        r"(current |free )?(plan|subscription|trial) (is |has |have )?(expired|ended)",
        r"(no|(don.t|do not) have any?) active (plan|subscription)",
        r"(fund|recharge|top up) your (wallet|account)",
        r"subscribe (again|to a plan)",
        r"payment required\W*$",
    ),
}
_ALL_PHRASES: Mapping[type[ModelsLabError], tuple[str, ...]] = {
    RateLimited: (
        r"(api )?rate limit(s|ed)?\b( \w+){0,2} (exceeded|reached|hit)",
        r"(exceeded|reached|hit) (your |the )?(api )?rate limit",
        r"(being )?rate limited",
        r"(sent )?too many (requests|attempts)",
        r"(reached )?(the )?maximum (number of |of )?(\d+ )?queued requests",
        r"[^.:]{0,80}\bspam filter",
    ),
    **_ACCOUNT_PHRASES,
    PermissionDenied: (
        r"[\w ]{0,60}\brequires? an? (\w+ )?subscription\b",
        r"[\w ]{0,60}\brequires? an? (premium|paid|pro|unlimited|enterprise|higher) plan\b",
        r"[\w ]{0,60}\bnot (available|included) (in|on|for|by) your (\w+ )?(subscription|plan)",
        r"[\w ]{0,60}\bonly available (for|to|on|in) (the )?(premium|paid|pro|enterprise)\b",
        r"(current )?(subscription|plan) does not (include|allow|support)\b",
        r"upgrade your (subscription|plan)\b",
    ),
    InvalidRequest: (
        r"invalid api request",
        r"(request[_ ]?id|id) field is required",
    ),
    ServerError: (
        r"internal server error",
        r"service (is )?(temporarily |currently )?unavailable",
        r"server is (currently |too )?(busy|overloaded|down|under maintenance)",
        r"(bad gateway|gateway time-?out)\W*$",
    ),
}


# Compile a pattern at its first use, so that the import of this module stays fast. Compiling all
# patterns takes a tenth of the time of `import httpx`.
@cache
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"{_SENTENCE_START}(?:{'|'.join(phrases)})", re.IGNORECASE)


def find_refusal(message: str, *, any_kind: bool) -> type[ModelsLabError] | None:
    """
    Return the error class for a message with a known phrase; None for any other message.

    A known phrase is, for example, "rate limit exceeded".

    Args:
        message: The server's message.
        any_kind: Whether to search for the phrases of all error classes. If False, search only for
            phrases about the API key or payment. Pass False for a job that `failed`, because the
            server accepted its parameters.
    """
    table = _ALL_PHRASES if any_kind else _ACCOUNT_PHRASES
    start = searchable_part(message)
    return next(
        (error for error, phrases in table.items() if _pattern(phrases).search(start)), None
    )


def _error_for_status(status_code: int) -> type[ModelsLabError] | None:
    return ServerError if status_code >= 500 else _ERRORS_BY_STATUS.get(status_code)


def error_type_of(
    status_code: int, fields: Mapping[str, Any], state: JobState, message: str
) -> type[ModelsLabError] | None:
    """
    Return the error class for a reply; None if the reply says that the job failed or is unknown.

    Do not call this function if the HTTP status is below 400 and the body reports a running or
    finished job. Such a reply is no error.

    Some HTTP statuses decide the class alone: 429, for example, means `RateLimited`. Any other
    status of 400 or more contradicts a body that reports a running or finished job. A reply with
    this contradiction is an `UnreadableReply`.
    """
    if status_error := _error_for_status(status_code):
        return status_error
    if state.meaning in (Meaning.RUNNING, Meaning.DONE):
        return UnreadableReply
    text = message or first_text(fields, "tips")
    if refusal := find_refusal(text, any_kind=state.word in ("error", "")):
        return refusal
    has_no_status = state.meaning is Meaning.NO_STATUS
    if status_code < 400:
        return UnreadableReply if has_no_status else None
    # A 404 usually means that the server does not know the job. If the message is about a route, or
    # the body has no field `status`, the cause is a wrong `base_url` instead.
    is_job_missing = (
        status_code == 404
        and not has_no_status
        and not _NO_SUCH_ROUTE.search(searchable_part(message))
    )
    return None if is_job_missing or names_no_job(message) else InvalidRequest


def names_no_job(message: str) -> bool:
    """Whether a message says that the server does not know the job."""
    return _NO_SUCH_TICKET.search(searchable_part(message)) is not None


@frozen
class ErrorReply:
    """The parts of a response that are needed to make an error from it."""

    status_code: int
    headers: Headers
    fields: Mapping[str, Any]
    state: JobState
    received_at: float | None

    def to_error(
        self, kind: type[ModelsLabError], message: str, ticket: Ticket | None
    ) -> ModelsLabError:
        """Make an error of this class, with the server's message."""
        status = f"the status {self.state.word!r} and no" if self.state.word else "no status and no"
        answered = f"the server answered {self.status_code}"
        if not message:
            text = f"{answered} with {status} message"
        elif issubclass(kind, ServerError):
            # A message such as "Server Error" says little, so the text includes the status code.
            text = f"{answered}: {message}"
        else:
            text = message
        return kind(
            text,
            ticket=ticket,
            status_code=self.status_code,
            server_message=" ".join(filter(None, (message, first_text(self.fields, "tips")))),
            retry_after=retry_after(self.fields, self.headers, self.received_at),
        )


def unreadable_error(
    unreadable: UnreadableBodyError,
    status_code: int,
    headers: Headers,
    body: bytes,
    *,
    ticket: Ticket | None,
    received_at: float | None,
) -> ModelsLabError:
    """Make the error for a response whose body is not a JSON object."""
    known = _error_for_status(status_code)
    if known in _ACCOUNT_ERRORS and is_html(body):
        known = None
    return (known or UnreadableReply)(
        f"the server answered {status_code} with {unreadable}",
        ticket=ticket,
        status_code=status_code,
        retry_after=retry_after({}, headers, received_at),
    )


def redirect_error(ticket: Ticket | None, status_code: int, headers: Headers) -> UnreadableReply:
    """Make the error for a response that redirects. The client follows no redirect."""
    location = (header(headers, "location") or "nowhere").partition("?")[0]
    return UnreadableReply(
        f"the server redirects to {location!r}; the client follows no redirect, since that would "
        "send the key to another URL; if the service has moved, set base_url",
        ticket=ticket,
        status_code=status_code,
    )
