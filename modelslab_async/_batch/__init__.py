"""
One run of a batch: poll under a lease, save files, record outcomes.

It never sends anything itself.
"""
