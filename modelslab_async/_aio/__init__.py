"""
Helpers for asyncio: concurrent maps, reading of iterables, yielding, listeners, threads, files.

These modules hold no logic of tickets, of HTTP or of the service.
"""
