"""
The rows of the table of endpoints, one module per product of the service.

The rows are data. No module in this folder checks, sends or reads anything.
"""
