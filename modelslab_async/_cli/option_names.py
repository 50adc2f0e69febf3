"""Wording: what the library says of its arguments, in the words of the command line. A table."""

# What a message of the library says, and what it is here. No family can be defined here.
_REPLACEMENTS = (
    ("allow_private=True", "--allow-private"),
    ("max_bytes=...", "--max-bytes"),
    ("; if the family makes such files, say so in its Family(output=...)", ""),
    ("pass api_key=... or set", "set"),
    ("file_format=", "--form"),
    ("Client(families=...) takes more", "a program in Python can run more: Client(families=...)"),
)


def with_option_names(text: str) -> str:
    """A message of the library, with options in place of arguments."""
    for argument, option in _REPLACEMENTS:
        text = text.replace(argument, option)
    return text
