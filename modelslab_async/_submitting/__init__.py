"""
Starts paid work, and keeps the number of queued generations within the limit of each API key.

Each queued generation occupies a slot. A submit that may have started work is never repeated.
"""
