"""
Decides which ticket is polled when.

A pure state machine: time and jitter are arguments. It never polls, waits or logs.
"""
