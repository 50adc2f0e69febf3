"""
One run of a batch: poll under a lease, save files, record outcomes and submits in the journal.

It never sends anything itself.
"""
