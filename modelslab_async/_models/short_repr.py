"""short_repr: a repr that shortens long strings and bytes, such as base64."""

from collections.abc import Mapping

# The maximum length of a link that is shown in full. It is higher than the limit for other strings,
# because a signature makes a link long.
_MAX_LINK_CHARS = 2000
_MAX_TEXT_CHARS = 500
_SHOWN_CHARS = 60


def short_repr(value: object) -> str:
    """
    Return the `repr` of a value, with long strings and bytes shortened.

    A shortened string shows its first characters and its length. Strings in lists, tuples and
    mappings are shortened too.
    """
    match value:
        case str():
            is_link = value[:8].lower().startswith(("https://", "http://"))
            return _shorten(value, _MAX_LINK_CHARS if is_link else _MAX_TEXT_CHARS, "characters")
        case bytes():
            return _shorten(value, _MAX_TEXT_CHARS, "bytes")
        case tuple():
            return f"({', '.join(map(short_repr, value))}{',' * (len(value) == 1)})"
        case list():
            return f"[{', '.join(map(short_repr, value))}]"
        case Mapping():
            items = (f"{name!r}: {short_repr(item)}" for name, item in value.items())
            return f"{{{', '.join(items)}}}"
        case _:
            return repr(value)


def _shorten(value: str | bytes, longest: int, unit: str) -> str:
    if len(value) <= longest:
        return repr(value)
    return f"<{value[:_SHOWN_CHARS]!r}... {len(value)} {unit}>"
