"""
The engine of one client: the poller and the submitter, which `Client` and `Batch` share.

The engine sends no request itself: `_polling` and `_submitting` send all requests.
"""
