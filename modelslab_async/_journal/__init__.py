"""The journal: one SQLite file that remembers a batch. Never sends anything, holds no key."""
