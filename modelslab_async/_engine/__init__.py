"""
What `Client` and `Batch` run on: one poller, one submitter, one lifecycle.

It never reads arguments of the command line, files or environment variables.
"""
