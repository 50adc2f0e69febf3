"""
The command `demo`, which runs an emulator on this machine and waits for many of its tickets.

The demo sends nothing to the real service, so it needs no API key.
"""
