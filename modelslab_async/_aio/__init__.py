"""
Helpers for asyncio: concurrent map, iteration, cooperative yields, threads, files, callbacks.

The modules `listeners` and `telemetry` pass events of this package to callbacks. The other modules
depend on no other folder of this package.
"""
