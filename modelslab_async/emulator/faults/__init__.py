"""
Serves an emulator with faults in its connections and replies, to test its clients.

The faulty server gets the true replies from the emulator. The emulator itself causes no faults.
"""
