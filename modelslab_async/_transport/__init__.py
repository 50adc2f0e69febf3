"""The only part that sends: a Call goes in, status, headers and bytes come out. Holds the key."""
