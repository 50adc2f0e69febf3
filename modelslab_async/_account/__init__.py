"""
Shares the limits of one account between clients: slots, poll rate and pauses.

It never submits, polls or decides what comes next in one client.
"""
