"""
What `Client` and `Batch` run on: one poller, one submitter, one lifecycle.

It never sends a request itself: `_polling` and `_submitting` send all requests.
"""
