"""
Stores the journal of a batch in an SQLite file or in a PostgreSQL database.

The journal records tickets, outcomes, saved files, submits and runs. A run claims tickets of the
batch, and polls them or saves their files. Its claims are valid for a limited time, the lease. If a
ticket or a submit comes from the caller's input table, such as a CSV file, the journal also stores
its row of that table. These modules send no requests, and the journal never contains an API key.
"""
