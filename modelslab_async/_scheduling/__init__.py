"""
Decides which ticket is polled when: the schedule, its queues, the pace and the poll rate.

Time and jitter are arguments. No module here polls, waits or logs.
"""
