"""
Makes small valid files of all media types from their names.

It never reads files, clocks or random numbers. The same name always gives the same bytes.
"""
