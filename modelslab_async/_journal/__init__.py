"""
Stores a batch in one SQLite file: its tickets, runs, outcomes, saved files and submits.

It never sends anything, and the file never contains an API key.
"""
