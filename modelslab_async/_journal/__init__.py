"""
The journal of a batch: one SQLite file.

It never sends anything and never holds a key.
"""
