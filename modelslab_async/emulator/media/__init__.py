"""
Makes small valid files of all media types.

The same name and caption always give the same bytes, because the content depends on nothing else.
"""
