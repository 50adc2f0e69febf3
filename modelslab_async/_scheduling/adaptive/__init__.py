"""
A pace that learns how long the jobs of each family take.

Pure. It never reads a clock and never chooses at random.
"""
