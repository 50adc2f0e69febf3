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
    LookFault,
    ModelsLabError,
    Outcome,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    SubmitUncertain,
    Success,
    TicketNotFound,
    Unresolved,
    UnusableFile,
    WaitTimeout,
)
from .option_names import in_options

SUCCESS, FAILED, USAGE, KEY, NOT_FOUND, TIME_UP, UNSAVED = 0, 1, 2, 3, 5, 7, 8
DEFECT, INTERRUPTED, CUT_OFF = 70, 130, 141


@frozen
class Exit:
    """
    One exit code.

    Args:
        code: The code.
        means: What it tells, for the help.
        errors: Which errors end with it; the nearest class wins.
        advice: What the user can do, where the error itself does not say so.
    """

    code: int
    means: str
    errors: tuple[type[ModelsLabError], ...] = ()
    advice: str = ""


# Worst first. A code that leaves tickets open is worse than one that does not, and worst is what
# waiting alone will not mend.
_EXITS = (
    Exit(
        KEY,
        "the key is missing, wrong, or its plan may not do that",
        (AuthenticationError, PermissionDenied),
        "check what the plan of the key in MODELSLAB_API_KEY includes",
    ),
    Exit(
        6,
        "the account has no credits or no plan",
        (PaymentRequired,),
        "add credits or renew the plan, then ask again",
    ),
    Exit(
        USAGE,
        "usage: an ill-formed ticket, an unknown name, a request the server cannot take",
        (InvalidRequest, UnusableFile),
        "check the ticket and the base URL",
    ),
    Exit(
        10,
        "the network, a proxy, the server or its certificate is in trouble",
        (LookFault, ConnectionImpossible, SubmitUncertain),
        "check the network and the base URL, then ask again",
    ),
    Exit(4, "too many requests", (RateLimited,), "ask again later, and less often"),
    Exit(TIME_UP, "not over when the time was up", (WaitTimeout, ClientClosed)),
    Exit(
        UNSAVED,
        "a result could not be saved, or a journal not used",
        (DownloadError, JournalError),
    ),
    Exit(
        NOT_FOUND,
        "not found: the server knows no such id",
        (TicketNotFound,),
    ),
    Exit(FAILED, "the generation failed", (GenerationFailed,)),
    Exit(SUCCESS, "success; a look at a job that is not over is one"),
)
_OTHERS = (
    Exit(DEFECT, "a defect of this program, please report it"),
    Exit(INTERRUPTED, "interrupted (Ctrl-C)"),
)
_BY_ERROR = {error: row for row in _EXITS for error in row.errors}
_RANK = {row.code: rank for rank, row in enumerate(_EXITS)}


def exit_of(error: ModelsLabError) -> Exit:
    """The row of an error: that of the nearest of its classes."""
    return next(row for kind in type(error).__mro__ if (row := _BY_ERROR.get(kind)))


def code_of(news: Processing | Outcome) -> int:
    """The exit code that a reply or an outcome stands for."""
    match news:
        case Processing() | Success():
            return SUCCESS
        case Failed():
            return exit_of(GenerationFailed.of(news)).code
        case Unresolved(cause=WaitTimeout(__cause__=LookFault() as fault)):
            # Nothing was heard when the time was up: more patience alone will not mend that.
            return exit_of(fault).code
        case Unresolved(cause=cause):
            return exit_of(cause).code


def worst(codes: Iterable[int]) -> int:
    """The code of many tickets: that of the worst."""
    return min(codes, key=_RANK.__getitem__, default=SUCCESS)


def explained(error: ModelsLabError) -> str:
    """An error as one line that says what to do on the command line."""
    advice = "" if error.advice else exit_of(error).advice
    if error.retry_after is not None:
        advice = f"ask again in {error.retry_after:g} s"
    return in_options(f"{str(error).rstrip('.')}; {advice}" if advice else str(error))


def exit_codes() -> str:
    """The codes as a paragraph of a command's help."""
    rows = sorted((*_EXITS, *_OTHERS), key=lambda row: row.code)
    ranked = ", ".join(str(row.code) for row in _EXITS)
    return "\n".join(
        (
            "\b",
            "Exit codes:",
            *(f"  {row.code:>3}  {row.means}" for row in rows),
            f"Many tickets end with the worst of theirs, in this order: {ranked}.",
        )
    )
