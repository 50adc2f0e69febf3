"""
The command `modelslab-async batch report`, which draws a journal as one HTML page.

It only reads the journal. It never asks a server.
"""
