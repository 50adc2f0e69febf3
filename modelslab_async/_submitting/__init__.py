"""
Starts paid work, within the slots of the account.

It never sends a submit again that may have been received.
"""
