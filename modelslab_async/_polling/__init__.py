"""
Polls open tickets and tells their watchers.

One task group for each client. It never starts paid work.
"""
