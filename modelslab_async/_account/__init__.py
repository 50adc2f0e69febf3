"""Shares the limits of one account between clients: slots, poll rate and pauses."""
