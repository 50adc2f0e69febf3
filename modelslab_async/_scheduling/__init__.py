"""
Decides which ticket is polled when: the schedule, its queues, the pace and the poll rate.

The caller passes in the time and the jitter. It also sends the polls, waits and logs.
"""
