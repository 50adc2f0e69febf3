"""
The default transport: HTTP/1.1 over connections that this package opens itself.

Its errors say whether a request left this machine. The errors of HTTP libraries do not say so. The
transport never retries, decodes a body or follows a redirect.
"""
