"""
HTTP/1.1 on connections of our own: the default transport.

It tells whether a request left, as no HTTP library does. It never retries, decodes or redirects.
"""
