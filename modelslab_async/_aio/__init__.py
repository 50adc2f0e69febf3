"""
What asyncio lacks: bounded concurrency, iteration of either kind, cooperation.

Nothing here knows tickets or HTTP.
"""
