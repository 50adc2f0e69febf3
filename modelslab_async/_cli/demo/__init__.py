"""
The command `modelslab-async demo`, which awaits many tickets of an emulator on this machine.

It never talks to the real service and needs no key.
"""
