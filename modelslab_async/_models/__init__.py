"""
Plain values and errors: tickets, replies, outcomes, events.

Every other folder imports them. They perform no I/O, read no clock, and never hold a key.
"""
