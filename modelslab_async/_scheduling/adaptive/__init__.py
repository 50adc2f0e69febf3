"""
A pace that learns how long the jobs of each family take, to find the best times for polls.

It never reads a clock and never draws a random number.
"""
