"""
The default transport: HTTP/1.1 over connections that this package opens itself.

Its errors say whether the request may have left this machine. The errors of HTTP libraries do not
say this. The transport never retries, decodes a body or follows a redirect.
"""
