"""UnsettledSubmits: the submits of this process whose results the journal does not have yet."""

from .._models.ticket import Ticket
from .submits import PendingSubmit


class UnsettledSubmits:
    """
    The submits that this process sends, and those whose results it could not record yet.

    This process knows more about them than the journal does. So they are not uncertain, even after
    their lease is over in the journal, and even if another process has deleted their records.
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

    def settle(self, submit: PendingSubmit) -> None:
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
        message = f"this process waits for the reply to the submit with the track_id {track_id!r}"
        if (ticket := self._tickets.get(id(submit))) is not None:
            message = (
                f"the submit with the track_id {track_id!r} was started as {ticket}, and this "
                "process records that as soon as the journal can be written"
            )
        raise ValueError(f"{message}; it cannot be withdrawn now")
