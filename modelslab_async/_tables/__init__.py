"""Reads the rows of an input table, in any usual format. It never guesses a column."""
