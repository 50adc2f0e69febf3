"""
Runs a batch: polls tickets under a lease, saves files, and records results in the journal.

It never builds or sends a request itself.
"""
