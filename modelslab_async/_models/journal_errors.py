"""Errors of a batch's journal. They never mean that committed data is lost."""

from .errors import ModelsLabError


class JournalError(ModelsLabError):
    """
    The journal of a batch cannot be used. Outcomes that were already recorded are not lost.

    Attributes:
        path: The path of the journal's file. For a journal in PostgreSQL, the hosts, the database
            and the batch.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class JournalLocked(JournalError):
    """Another process kept the journal locked for too long, or a run was active during a copy."""


class JournalFull(JournalError):
    """There is no room to write the journal: the disk is full, or a quota or limit is reached."""


class JournalReadOnly(JournalError):
    """Writing to the journal is not allowed, for example because the journal was copied."""


class JournalDamaged(JournalError):
    """The journal's file is incomplete or inconsistent."""


class WrongJournal(JournalError):
    """The file is not a journal, or is a journal of a newer version. It was not changed."""


class SubmissionConflict(ModelsLabError, ValueError):
    """
    This batch has already used the submission key for another endpoint or other parameters.

    Nothing was sent, because it is not clear which of the two submissions the caller wants.
    """
