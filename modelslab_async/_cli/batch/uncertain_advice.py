"""
Tells the user which commands record whether an uncertain submit started work.

A submit is uncertain if its reply was lost.
"""

from copy import copy

from ... import SubmitUncertain
from .journal_option import JournalLocation, journal_command


def with_command(error: SubmitUncertain, journal: JournalLocation) -> SubmitUncertain:
    """Return a copy of the error whose advice names a command instead of a Python method."""
    explained = copy(error)
    if error.track_id:
        explained.advice = f"then say what you found: {settling_commands(error.track_id, journal)}"
    else:
        explained.advice = f"`{_command(journal)}` lists it, and says what to do"
    return explained


def settling_commands(track_id: str, journal: JournalLocation) -> str:
    """
    Return a text with two commands for an uncertain submit. The user runs one of them.

    One command records the ticket that the submit started. The other command records that the
    submit started nothing.
    """
    command = _command(journal, track_id)
    return f"`{command} --ticket TICKET`, or `{command} --not-started`"


def _command(journal: JournalLocation, *track_id: str) -> str:
    return journal_command(journal, "uncertain", *track_id)
