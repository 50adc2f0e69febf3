"""
Sends HTTP requests, and returns the status, headers and bytes of their responses.

It adds the API key to each request, and removes the key from responses and errors. It parses no
body and never retries.
"""
