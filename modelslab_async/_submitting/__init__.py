"""
Starts paid work, and keeps within the slots that the account has in the service's queue.

It never repeats a submit that may have started work.
"""
