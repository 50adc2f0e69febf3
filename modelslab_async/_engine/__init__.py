"""
The engine of one client: a poller and a submitter. `Client` and `Batch` share one engine.

The engine sends no request itself: `_polling` and `_submitting` send all requests.
"""
