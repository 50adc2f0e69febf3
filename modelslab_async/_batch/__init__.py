"""
Runs a batch: polls tickets under a lease, saves files, and records results in the journal.

The engine sends the submits and polls. `Downloads` transfers the files.
"""
