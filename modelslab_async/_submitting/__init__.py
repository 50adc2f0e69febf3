"""
Starts paid work. Keeps the number of queued generations within the limit of the account.

Each queued generation occupies a slot. A submit that may have started work is never repeated.
"""
