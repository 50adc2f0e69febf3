"""
Makes small valid files of all media types.

It never reads files, clocks or random numbers. The same name and caption always give the same
bytes.
"""
