"""
Polls open tickets and notifies their watchers, in one task group for each client.

The schedule in `_scheduling` decides when to poll.
"""
