"""
Stores the journal of a batch in an SQLite file or in a PostgreSQL database.

The journal records tickets, outcomes, saved files, submits and runs. A run claims tickets of the
batch, and polls them or saves their files. Its claims are valid for a limited time, the lease. A
ticket or a submit may come with a row of the caller's input table, such as a CSV file. These
modules send no requests, and the journal never contains an API key.
"""
