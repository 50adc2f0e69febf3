"""
Helpers for the account and the journal in PostgreSQL: addresses, the server's clock, the driver.

This package runs no SQL.
"""
