"""
The API families and endpoints, as tables.

A family turns a ticket into a call, an endpoint turns parameters into one. They never send.
"""
