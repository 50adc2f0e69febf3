"""The rows of the table of endpoints, one module per product of the service."""
