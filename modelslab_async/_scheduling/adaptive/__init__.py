"""
A pace that learns how long the jobs of each family take, and polls when that costs least.

It never reads a clock and never draws a random number.
"""
