"""The rows of the table of endpoints, a module a product."""
