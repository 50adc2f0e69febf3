"""The pure part: decides everything, does nothing. No I/O, no clock, no randomness, no key."""
