"""
The engine of one client: one poller, one submitter and one lifecycle for `Client` and `Batch`.

The engine sends no request itself: `_polling` and `_submitting` send all requests.
"""
