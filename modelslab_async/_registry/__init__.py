"""
The API families and endpoints, as tables.

A family turns a ticket into a request, an endpoint turns parameters into one. Nothing is sent here.
"""
