"""
Sends HTTP requests, and returns the status, headers and bytes of their responses.

It adds the API key to requests and redacts it in responses. It never parses a reply or retries.
"""
