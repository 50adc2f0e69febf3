"""
Makes small valid files of all media types from their names.

It never reads files, clocks or randomness: the same name gives the same bytes.
"""
