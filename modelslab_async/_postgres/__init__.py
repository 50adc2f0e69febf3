"""Helpers for PostgreSQL: addresses, the server's clock, and the driver asyncpg."""
