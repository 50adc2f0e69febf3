"""Reads the rows of an input table: CSV, JSON, Parquet, or one ticket a line."""
