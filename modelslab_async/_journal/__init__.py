"""
The journal of a batch: one SQLite file of tickets, runs, outcomes, files and submits.

It never sends anything and never holds a key.
"""
