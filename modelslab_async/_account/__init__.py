"""
Shares the limits of one account between clients: slots, poll rate and pauses.

It sends no request to the service, and schedules nothing within a client.
"""
