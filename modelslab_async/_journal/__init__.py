"""
Stores the journal of a batch in an SQLite file or in a PostgreSQL database.

The journal records tickets, outcomes, saved files and submits. It also records runs: a run claims
tickets of the batch for a limited time (its lease), and polls them or saves their files. A ticket
or a submit may come with a row of the caller's input table, such as a CSV file. These modules send
no requests, and the journal never contains an API key.
"""
