"""
Saves the outputs of finished generations as files.

A download polls a ticket only to get new links. It never sends the API key to a link, and never
overwrites a file.
"""
