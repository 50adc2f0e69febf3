"""
The API families and endpoints, as tables.

A family turns a ticket into the request that polls the ticket. An endpoint turns parameters into
the request that starts work. No module here sends a request.
"""
