"""
Saves the outputs of finished generations as files.

It polls a ticket only to get new links. It never sends the key to a link or overwrites a file.
"""
