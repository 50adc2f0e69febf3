"""
Small valid files of every media type.

The same name gives the same bytes.
"""
