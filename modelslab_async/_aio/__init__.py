"""
What asyncio lacks: a bounded map, reading of both kinds of iterables, cooperation, safe threads.

It never knows tickets, HTTP or the service.
"""
