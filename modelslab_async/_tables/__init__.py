"""Reads the rows of a caller's table, in any usual format. It never guesses a column."""
