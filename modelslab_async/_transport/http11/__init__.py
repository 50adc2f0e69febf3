"""
HTTP/1.1 on connections of our own, the default transport.

It never follows a redirect, decodes a body or retries.
"""
