"""UnfinishedSubmits: the submits of one `Journal` object whose results are not recorded yet."""

from .._models.ticket import Ticket
from .submits import PendingSubmit


class UnfinishedSubmits:
    """
    The submits that the batch sends, and those whose results it could not record yet.

    The batch knows more about them than the journal does. So they are not uncertain, even after
    their lease is over in the journal, and even if another process has deleted their records.
    Another `Batch` of this process knows only what the journal has.
    """

    def __init__(self) -> None:
        # The keys are object ids, because two submits may have the same track_id. Another process
        # may delete the record of the first, and then the caller may submit it again.
        self._submits: dict[int, PendingSubmit] = {}
        self._tickets: dict[int, Ticket] = {}

    def add(self, submit: PendingSubmit) -> None:
        """Add a submit, before its record is written."""
        self._submits[id(submit)] = submit

    def set_ticket(self, submit: PendingSubmit, ticket: Ticket) -> None:
        """Set the ticket of a submit, before the journal has it."""
        self._tickets[id(submit)] = ticket

    def remove(self, submit: PendingSubmit) -> None:
        """Remove a submit, because the journal has its result. Do nothing if it is not here."""
        self._submits.pop(id(submit), None)
        self._tickets.pop(id(submit), None)

    def track_ids(self) -> set[str]:
        """Return the track_id of each submit."""
        return {submit.track_id for submit in self._submits.values()}

    def find(self, track_id: str | None, *, key: str | None = None) -> PendingSubmit | None:
        """Return a submit with this track_id or submission key; None if there is none."""
        for submit in self._submits.values():
            if submit.track_id == track_id or (key is not None and submit.key == key):
                return submit
        return None

    def check_withdrawable(self, track_id: str) -> None:
        """
        Check that no submit with this track_id is here.

        Raises:
            ValueError: A submit is here. It is in flight, or it has started work.
        """
        submit = self.find(track_id)
        if submit is None:
            return
        ticket = self._tickets.get(id(submit))
        raise ValueError(
            f"the submit with the track_id {track_id!r} cannot be withdrawn now, because "
            + (
                f"it was started as {ticket}, which the batch records as soon as the journal can "
                "be written"
                if ticket
                else "the journal does not have its result yet; wait until its call has ended and "
                "the journal can be written, then try again"
            )
        )
