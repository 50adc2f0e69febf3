"""
The default transport: HTTP/1.1 over connections that this package opens itself.

Its errors say whether a request left this machine, which those of HTTP libraries do not. It never
retries, decodes a body or follows a redirect.
"""
