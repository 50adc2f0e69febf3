"""
Starts paid work, within the slots of the account.

It never repeats a submit that the server may have received.
"""
