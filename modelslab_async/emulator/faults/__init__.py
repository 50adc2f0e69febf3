"""
Serves an emulator that misbehaves on purpose, fault by fault.

The emulator itself never imports it.
"""
