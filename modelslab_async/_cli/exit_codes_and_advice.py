"""Maps every error to its exit code and its advice."""

import re
from collections.abc import Collection, Iterable
from copy import copy

from attrs import frozen

from .. import (
    AccountError,
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    DownloadError,
    Failed,
    GenerationFailed,
    InvalidRequest,
    JournalError,
    ModelsLabError,
    Outcome,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    SubmissionConflict,
    SubmitLimitReached,
    SubmitTimeout,
    SubmitUncertain,
    Success,
    TicketNotFound,
    TransientError,
    Unresolved,
    UnusableFile,
    WaitTimeout,
)

SUCCESS, FAILED, USAGE, BAD_KEY, NOT_FOUND, TIMED_OUT, UNSAVED, UNCERTAIN = 0, 1, 2, 3, 5, 7, 8, 9
_TOO_MANY_REQUESTS, _NO_CREDITS, _NETWORK = 4, 6, 10
INTERNAL_ERROR, INTERRUPTED, BROKEN_PIPE, TERMINATED = 70, 130, 141, 143

# `POLL_CODES` are the exit codes of `fetch`, and `WAIT_CODES` those of `wait` and `download`. Both
# leave out the codes that every command can return.
POLL_CODES = (FAILED, BAD_KEY, _TOO_MANY_REQUESTS, NOT_FOUND, _NO_CREDITS, _NETWORK)
WAIT_CODES = (*POLL_CODES, TIMED_OUT, UNSAVED)
# The exit codes of commands that submit. `batch run` can return these codes too, because its
# journal may hold uncertain submits of earlier commands.
SUBMIT_CODES = (*WAIT_CODES, UNCERTAIN)
_CODES_OF_ALL_COMMANDS = (SUCCESS, USAGE, INTERNAL_ERROR, INTERRUPTED, TERMINATED)


@frozen
class ExitCode:
    """
    One exit code.

    Attributes:
        code: The number.
        meaning: What the code means, as the help shows it.
        errors: The classes of errors that lead to this code. Any other error class has the code of
            its nearest base class.
        advice: What the user can do, for errors that carry no advice of their own.
    """

    code: int
    meaning: str
    errors: tuple[type[ModelsLabError], ...] = ()
    advice: str = ""


# The exit codes from worst to best. If several codes apply, a command returns the worst. The codes
# of problems that leave tickets open come first.
_RANKED_CODES = (
    # A plain `ModelsLabError` stands for an unexpected exception.
    ExitCode(INTERNAL_ERROR, "a bug in this program; please report it", (ModelsLabError,)),
    ExitCode(
        BAD_KEY,
        "the key is missing, wrong, or its plan may not do that",
        (AuthenticationError, PermissionDenied),
        "check what the plan of the key in MODELSLAB_API_KEY includes",
    ),
    ExitCode(
        _NO_CREDITS,
        "the account has no credits or no plan",
        (PaymentRequired,),
        "add credits or renew the plan, then ask again",
    ),
    ExitCode(
        USAGE,
        "usage: a malformed ticket, an unknown name, a request the server does not accept",
        (InvalidRequest, UnusableFile, SubmissionConflict, SubmitLimitReached),
        "check the ticket and the base URL",
    ),
    ExitCode(
        _NETWORK,
        "a problem of the network, a proxy, the server or its certificate",
        (TransientError, ConnectionImpossible),
        "check the network and the base URL, then ask again",
    ),
    ExitCode(
        _TOO_MANY_REQUESTS,
        "too many requests",
        (RateLimited,),
        "ask again later, and less often",
    ),
    ExitCode(
        TIMED_OUT, "not finished within the timeout", (WaitTimeout, SubmitTimeout, ClientClosed)
    ),
    # A repeated command may solve the problems above. It never shows whether an uncertain submit
    # started work, so `UNCERTAIN` comes after them.
    ExitCode(
        UNCERTAIN,
        "a submit may or may not have started work, and is never sent again",
        (SubmitUncertain,),
    ),
    ExitCode(
        UNSAVED,
        "a result could not be saved, or a journal or an account could not be used",
        (DownloadError, JournalError, AccountError),
    ),
    ExitCode(
        NOT_FOUND,
        "not found: the server knows no such id",
        (TicketNotFound,),
    ),
    ExitCode(FAILED, "the generation failed", (GenerationFailed,)),
    ExitCode(SUCCESS, "success"),
)
_UNRANKED_CODES = (
    ExitCode(INTERRUPTED, "interrupted (Ctrl-C)"),
    ExitCode(TERMINATED, "interrupted (SIGTERM)"),
)
# The advice of a `DownloadError` names an argument of the Python API. The command line replaces it
# with the advice in this table, which names an option.
_ADVICE_BY_ARGUMENT = {
    "allow_private": "if that is intended, allow it with --allow-private",
    "max_bytes": "allow more with --max-bytes",
}
_CODE_BY_ERROR = {error: row for row in _RANKED_CODES for error in row.errors}
_RANK = {row.code: rank for rank, row in enumerate(_RANKED_CODES)}


def exit_code_for(error: ModelsLabError) -> ExitCode:
    """Return the `ExitCode` of the error's class, or of the nearest base class that has one."""
    if isinstance(error, SubmitTimeout) and isinstance(error.__cause__, ModelsLabError):
        # The time is up, and the last attempt failed with another error. Return the exit code of
        # that error. The code of a timeout would suggest a longer timeout, which would not help.
        return exit_code_for(error.__cause__)
    return next(row for kind in type(error).__mro__ if (row := _CODE_BY_ERROR.get(kind)))


def code_for(result: Processing | Outcome) -> int:
    """Return the exit code for a reply or an outcome."""
    match result:
        case Processing() | Success():
            return SUCCESS
        case Failed():
            return exit_code_for(GenerationFailed.of(result)).code
        case Unresolved(cause=WaitTimeout(__cause__=TransientError() as error)):
            # The time is up, and the last poll failed with another error. Return the exit code of
            # that error, because a longer timeout would not help.
            return exit_code_for(error).code
        case Unresolved(cause=cause):
            return exit_code_for(cause).code


def worst_code(codes: Iterable[int]) -> int:
    """Return the worst of these exit codes, or success if there are none."""
    return min(codes, key=_RANK.__getitem__, default=SUCCESS)


# If the server's message has one of these words, the server refuses the content of a prompt or a
# file. Otherwise, the server refuses the parameters.
_CONTENT_WORDS = re.compile(
    r"\b(nsfw|not safe for work|unsafe|inappropriate|prohibited|banned|moderation|sexual|"
    r"content policy)\b",
    re.IGNORECASE,
)


def explain(error: ModelsLabError) -> str:
    """Return one line that says what went wrong and what the user of the command line can do."""
    explained = copy(error)
    explained.advice = _advice(error)
    return str(explained)


def explain_unsubmitted(cause: ModelsLabError, endpoint: str) -> str:
    """
    Return one line that says why a submit made no ticket.

    Args:
        cause: The error.
        endpoint: The endpoint of the submit. The advice about wrong parameters names this endpoint.
    """
    match cause:
        case SubmitUncertain() | UnusableFile() | SubmissionConflict():
            return str(cause)
        case InvalidRequest():
            hint = (
                "change the prompt or the file that the service refuses"
                if _CONTENT_WORDS.search(cause.server_message)
                else f"`modelslab-async endpoints {endpoint}` lists the parameters"
            )
            return f"{cause.message.rstrip('.')}; {hint}"
        case GenerationFailed(ticket=None):
            return f"{explain(cause).rstrip('.')}; nothing was started"
        case _:
            return explain(cause)


def explain_unsaved(message: str, argument: str) -> str:
    """
    Return a message that says why a file was not saved, and which option helps, if any.

    Args:
        message: The message of a `DownloadError`.
        argument: The `argument` of the same error.
    """
    advice = _ADVICE_BY_ARGUMENT.get(argument)
    return f"{message}; {advice}" if advice else message


def _advice(error: ModelsLabError) -> str:
    if error.retry_after is not None:
        return f"ask again in {error.retry_after:g} s"
    if isinstance(error, DownloadError) and error.argument:
        return _ADVICE_BY_ARGUMENT.get(error.argument, "")
    if isinstance(error, AuthenticationError):
        return "check the key in MODELSLAB_API_KEY"
    return error.advice or exit_code_for(error).advice


def exit_codes(codes: Collection[int], *, success: str = "success", is_ranked: bool = True) -> str:
    """
    Return the text about exit codes at the end of a command's help.

    Args:
        codes: The codes that the command can return, besides those that every command can return.
        success: What the code 0 means.
        is_ranked: Whether the command takes many tickets and returns the worst of their codes.
    """
    known = {*codes, *_CODES_OF_ALL_COMMANDS}
    rows = sorted((*_RANKED_CODES, *_UNRANKED_CODES), key=lambda row: row.code)
    ranked = ", ".join(str(row.code) for row in _RANKED_CODES if row.code in known)
    return "\n".join(
        (
            "\b",
            "Exit codes:",
            *(
                f"  {row.code:>3}  {success if row.code == SUCCESS else row.meaning}"
                for row in rows
                if row.code in known
            ),
            *(
                [f"Many tickets end with their worst code. From worst to best: {ranked}."]
                if is_ranked
                else []
            ),
        )
    )
