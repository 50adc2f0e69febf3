"""
The command `modelslab-async batch report`, which draws a journal as one HTML page.

The command only reads the journal, and sends no request.
"""
