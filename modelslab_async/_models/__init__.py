"""
Plain values and errors: tickets, replies, outcomes, events.

Most other folders import this one. Its code performs no I/O, reads no clock, and holds no API key.
"""
