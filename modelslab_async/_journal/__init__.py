"""
Stores the journal of a batch in an SQLite file or in a PostgreSQL database.

The journal records tickets, runs, outcomes, saved files and submits. It sends nothing, and never
contains an API key.
"""
