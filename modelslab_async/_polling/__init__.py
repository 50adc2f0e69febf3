"""
Polls open tickets and notifies their watchers, in one task group for each client.

It never starts paid work, and never decides when to poll.
"""
