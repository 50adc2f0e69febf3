"""
The rows of the table of endpoints, one module per product.

The rows are data. No module here checks, sends or reads anything.
"""
