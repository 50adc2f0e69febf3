"""
Serves an emulator that misbehaves on purpose, fault by fault.

It stands between the emulator and its clients, and never changes the emulator.
"""
