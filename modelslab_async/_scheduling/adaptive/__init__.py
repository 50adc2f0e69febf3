"""
A pace that learns how long the jobs of each family take, to find the best times for polls.

The caller passes in the time and the random numbers.
"""
