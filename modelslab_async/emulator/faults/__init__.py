"""
Serves an emulator with faults in its connections and replies, to test its clients.

The faulty server forwards each request to the emulator, and never changes the emulator.
"""
