"""
Plain values and errors: tickets, replies, outcomes, events.

Every other folder imports this one. It performs no I/O, reads no clock, and holds no API key.
"""
