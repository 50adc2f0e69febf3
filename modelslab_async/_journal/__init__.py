"""
Stores a batch in an SQLite file or in a PostgreSQL database.

A batch consists of tickets, runs, outcomes, saved files and submits. The journal sends nothing to
the service, and never contains an API key.
"""
