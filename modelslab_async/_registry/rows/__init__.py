"""
The rows of the table of endpoints, one module per product.

They are data: no module here checks, sends or reads anything.
"""
