"""ExitTally counts how the tickets and lines of a command ended."""

from modelslab_async import InvalidRequest, Ticket, Unresolved
from modelslab_async._cli.exit_tally import ExitTally


def test_skipped_lines_are_not_counted_as_tickets(capsys):
    """They have the same exit code as a ticket that the service refuses to poll."""
    tally = ExitTally()
    tally.count_skipped("two lines are no tickets", 2)
    tally.count(Unresolved(ticket=Ticket("images", 1), cause=InvalidRequest("a bad id")))
    assert tally.print_summary()
    assert "tickets ended so" not in capsys.readouterr().err
    tally.count(Unresolved(ticket=Ticket("images", 2), cause=InvalidRequest("a bad id")))
    tally.print_summary()
    assert "(2 tickets ended so)" in capsys.readouterr().err
    assert 4 == tally.handled
