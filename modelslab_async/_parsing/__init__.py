"""
Pure functions that turn the bytes of a response into typed replies and errors.

They raise only the errors of `_models`, perform no I/O, and never see the API key.
"""
