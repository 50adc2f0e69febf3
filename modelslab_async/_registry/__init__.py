"""
The API families and endpoints, as tables.

A family turns a ticket into the request that polls it. An endpoint turns parameters into the
request that starts work. Nothing is sent here.
"""
