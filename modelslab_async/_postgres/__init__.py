"""
What the shared account and the shared journal need of PostgreSQL: addresses, clocks, the driver.

It never runs a statement.
"""
