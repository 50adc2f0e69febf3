"""
Helpers for asyncio: a concurrent map, either kind of iterable, yielding, listeners, threads, files.

These modules hold no logic of tickets, of HTTP or of the service.
"""
