"""
Plain values and errors: tickets, replies, outcomes, events.

They perform no I/O, read no clock, and never hold a key.
"""
