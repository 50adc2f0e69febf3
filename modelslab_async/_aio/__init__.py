"""
Helpers for asyncio: a bounded map, plain and async iterables, yielding, wakeups, threads, files.

It never knows tickets, HTTP or the service.
"""
