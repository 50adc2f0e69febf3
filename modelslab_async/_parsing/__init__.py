"""
Bytes of a response become typed replies and errors.

Pure functions. They never raise anything but the errors of `_models`, and never see the key.
"""
