"""
A pace that learns how long the jobs of each family take. It polls when polls cost least.

It never reads a clock and never draws a random number.
"""
