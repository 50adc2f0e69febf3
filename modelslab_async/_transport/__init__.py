"""
Sends HTTP requests: a call goes in, and a status, headers and bytes come out.

It adds the API key and removes it from what comes back. It never interprets a reply or retries.
"""
