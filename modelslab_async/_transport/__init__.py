"""
The only part that sends: a call goes in, status, headers and bytes come out.

It holds the keys. It never interprets a reply and never retries.
"""
