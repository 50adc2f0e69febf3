"""
Plain values and errors: tickets, replies, outcomes, events.

Most other subpackages import this one. It performs no I/O, and its values contain no API key.
"""
