"""
Helpers for asyncio: concurrent map, iteration, cooperative yields, listeners, threads, files.

These modules know nothing of tickets, of HTTP or of the service.
"""
