"""Mutations of batches and their journal. Applies none of them."""

from .mutation import WALL_CLOCK, Mutation

MUTATIONS = [
    Mutation(
        "wall clock set: two runs report one ticket",
        "_journal/tickets.py",
        "written = [db.execute(_COMPLETE, change).rowcount == 1 for change in changes]",
        "written = [db.execute(_COMPLETE, change).rowcount >= 0 for change in changes]",
        WALL_CLOCK,
        "one_of_two_runs",
    ),
    Mutation(
        "wall clock set: two runs go on polling",
        "_batch/lease.py",
        "if not await self._journal.leases.renew(self._run_id, lease=self.duration):",
        "await self._journal.leases.renew(self._run_id, lease=self.duration)\n"
        "                if False:",
        WALL_CLOCK,
        "polls_no_more",
    ),
]
