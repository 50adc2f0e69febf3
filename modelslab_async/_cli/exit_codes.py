"""Exits: which error ends the program with which code, and what a user can do about it. A table."""

from collections.abc import Iterable

from attrs import frozen

from .. import (
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
    SubmitUncertain,
    Success,
    TicketNotFound,
    TransientError,
    Unresolved,
    UnusableFile,
    WaitTimeout,
)
from .option_names import with_option_names

SUCCESS, FAILED, USAGE, BAD_KEY, NOT_FOUND, TIMED_OUT, UNSAVED = 0, 1, 2, 3, 5, 7, 8
INTERNAL_ERROR, INTERRUPTED, BROKEN_PIPE = 70, 130, 141


@frozen
class ExitCode:
    """
    One exit code.

    Args:
        code: The code.
        means: What it tells, for the help.
        errors: Which errors end with it; the nearest class wins.
        advice: What the user can do, where the error itself does not say so.
    """

    code: int
    meaning: str
    errors: tuple[type[ModelsLabError], ...] = ()
    advice: str = ""


# Worst first. A code that leaves tickets open is worse than one that does not, and worst is what
# waiting alone will not mend.
_RANKED_CODES = (
    ExitCode(
        BAD_KEY,
        "the key is missing, wrong, or its plan may not do that",
        (AuthenticationError, PermissionDenied),
        "check what the plan of the key in MODELSLAB_API_KEY includes",
    ),
    ExitCode(
        6,
        "the account has no credits or no plan",
        (PaymentRequired,),
        "add credits or renew the plan, then ask again",
    ),
    ExitCode(
        USAGE,
        "usage: an ill-formed ticket, an unknown name, a request the server cannot take",
        (InvalidRequest, UnusableFile),
        "check the ticket and the base URL",
    ),
    ExitCode(
        10,
        "the network, a proxy, the server or its certificate is in trouble",
        (TransientError, ConnectionImpossible, SubmitUncertain),
        "check the network and the base URL, then ask again",
    ),
    ExitCode(4, "too many requests", (RateLimited,), "ask again later, and less often"),
    ExitCode(TIMED_OUT, "not over when the time was up", (WaitTimeout, ClientClosed)),
    ExitCode(
        UNSAVED,
        "a result could not be saved, or a journal not used",
        (DownloadError, JournalError),
    ),
    ExitCode(
        NOT_FOUND,
        "not found: the server knows no such id",
        (TicketNotFound,),
    ),
    ExitCode(FAILED, "the generation failed", (GenerationFailed,)),
    ExitCode(SUCCESS, "success; a look at a job that is not over is one"),
)
_UNRANKED_CODES = (
    ExitCode(INTERNAL_ERROR, "a defect of this program, please report it"),
    ExitCode(INTERRUPTED, "interrupted (Ctrl-C)"),
)
_CODE_BY_ERROR = {error: row for row in _RANKED_CODES for error in row.errors}
_RANK = {row.code: rank for rank, row in enumerate(_RANKED_CODES)}


def exit_code_for(error: ModelsLabError) -> ExitCode:
    """The row of an error: that of the nearest of its classes."""
    return next(row for kind in type(error).__mro__ if (row := _CODE_BY_ERROR.get(kind)))


def code_for(result: Processing | Outcome) -> int:
    """The exit code that a reply or an outcome stands for."""
    match result:
        case Processing() | Success():
            return SUCCESS
        case Failed():
            return exit_code_for(GenerationFailed.of(result)).code
        case Unresolved(cause=WaitTimeout(__cause__=TransientError() as error)):
            # Nothing was heard when the time was up: more patience alone will not mend that.
            return exit_code_for(error).code
        case Unresolved(cause=cause):
            return exit_code_for(cause).code


def worst_code(codes: Iterable[int]) -> int:
    """The code of many tickets: that of the worst."""
    return min(codes, key=_RANK.__getitem__, default=SUCCESS)


def explain(error: ModelsLabError) -> str:
    """An error as one line that says what to do on the command line."""
    advice = "" if error.advice else exit_code_for(error).advice
    if error.retry_after is not None:
        advice = f"ask again in {error.retry_after:g} s"
    return with_option_names(f"{str(error).rstrip('.')}; {advice}" if advice else str(error))


def exit_codes() -> str:
    """The codes as a paragraph of a command's help."""
    rows = sorted((*_RANKED_CODES, *_UNRANKED_CODES), key=lambda row: row.code)
    ranked = ", ".join(str(row.code) for row in _RANKED_CODES)
    return "\n".join(
        (
            "\b",
            "Exit codes:",
            *(f"  {row.code:>3}  {row.meaning}" for row in rows),
            f"Many tickets end with the worst of theirs, in this order: {ranked}.",
        )
    )
