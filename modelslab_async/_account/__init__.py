"""Lets several clients share the limits of an API key: slots, poll rate and pauses."""
