"""
Sends HTTP requests, and returns the status, headers and bytes of their responses.

It adds the API key to each request, and removes the key from responses and errors. Other
subpackages parse the bodies, and decide whether to retry.
"""
