"""
What a misbehaving server does.

It never runs unless `Faults` are given.
"""
