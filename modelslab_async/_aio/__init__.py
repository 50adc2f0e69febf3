"""
Helpers for asyncio: a bounded map, plain and async iterables, yielding, wakeups, threads, files.

These modules hold no logic of tickets, of HTTP or of the service.
"""
