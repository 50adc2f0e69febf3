"""Parses a response body as a JSON object, and reads its fields."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_MAX_DEPTH = 64
# The maximum number of commas, colons and brackets in a body. A parsed body takes up to 90 bytes of
# memory for each of them. An image in base64 contains none of these characters.
_MAX_SEPARATORS = 100_000
_LARGE_BODY_BYTES = 64 * 1024
_HTML_START = re.compile(rb"[^\x21-\x7e]*<")
_OBJECT_START = re.compile(rb"[^\x21-\x7e]*\{")
# The maximum number of characters of a message that are searched for known phrases. The phrases are
# at the start of a message, and searching megabytes is slow.
_MAX_SEARCHED_CHARS = 500
_OUTPUT_FIELDS = ("output", "links", "output_url", "link", "proxy_links")
_RESULT_FIELDS = ("url", "image_url", "image", "base64", "b64_json", "b64", "text", *_OUTPUT_FIELDS)


def _parse_float(text: str) -> float | str:
    # A number such as 1e999 overflows to infinity, which JSON cannot represent. So keep the text.
    number = float(text)
    return number if math.isfinite(number) else text


_decode_start = json.JSONDecoder(parse_constant=str, parse_float=_parse_float).raw_decode


def _decode(text: str) -> Any:
    # `JSONDecoder.decode` uses two regular expressions to skip the white space around a value.
    # `str.strip` and then `raw_decode` are faster.
    text = text.strip(" \t\n\r")
    value, end = _decode_start(text)
    if end != len(text):
        raise ValueError
    return value


class UnreadableBodyError(ValueError):
    """The bytes are not a JSON object. The message says what they are instead."""


def parse_body(body: bytes) -> dict[str, Any]:
    """
    Parse a body as a JSON object of limited depth and size.

    Raises:
        UnreadableBodyError: The body is not a JSON object, or is too large or too deep.
    """
    if not body or body.isspace():
        raise UnreadableBodyError("an empty body")
    if len(body) > _LARGE_BODY_BYTES:
        body = _check_large_body(body)
    try:
        # Replace invalid bytes. A reply repeats the prompt, and a wrong byte in the prompt must not
        # make the reply unreadable.
        value = _decode(body.decode(_encoding_of(body), "replace"))
    except RecursionError:
        raise UnreadableBodyError("JSON nested too deeply to read") from None
    except ValueError:
        raise UnreadableBodyError(f"no JSON: {excerpt(body)}") from None
    if not isinstance(value, dict):
        raise UnreadableBodyError(f"a JSON {type(value).__name__} instead of an object")
    if body.count(b"{") + body.count(b"[") > _MAX_DEPTH and _is_deeper_than(value, _MAX_DEPTH):
        raise UnreadableBodyError(f"JSON nested deeper than {_MAX_DEPTH} levels")
    return value


def _encoding_of(body: bytes) -> str:
    # Nearly every body begins with `{"`. These two bytes rule out UTF-16 and UTF-32, so the slower
    # detection is not needed.
    return "utf-8" if body.startswith(b'{"') else json.detect_encoding(body)


def is_html(body: bytes) -> bool:
    """Whether a body is an HTML page. Firewalls send such pages, but the service never does."""
    return _HTML_START.match(body) is not None


def _check_large_body(body: bytes) -> bytes:
    """Strip white space from a large body. Refuse a body that would take too much memory."""
    if not _OBJECT_START.match(body):
        raise UnreadableBodyError(f"no JSON object: {excerpt(body)}")
    if _count_separators(body) > _MAX_SEPARATORS:
        raise UnreadableBodyError(
            f"JSON with more than {_MAX_SEPARATORS} commas, colons and brackets"
        )
    return body.strip()


def _count_separators(body: bytes) -> int:
    """Count commas, colons and brackets slice by slice, so that the body is never copied whole."""
    pieces = (
        body[start : start + _LARGE_BODY_BYTES] for start in range(0, len(body), _LARGE_BODY_BYTES)
    )
    return len(body) - sum(len(piece.translate(None, b",:[{")) for piece in pieces)


def excerpt(body: bytes, length: int = 80) -> str:
    """Return the start of a body as one printable line, for an error message."""
    line = " ".join(body[: 4 * length].decode("utf-8", "replace").split())
    return repr(line if len(line) <= length else line[:length] + "...")


def _is_deeper_than(value: dict[str, Any], levels: int) -> bool:
    layer: list[dict[str, Any] | list[Any]] = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _children(outer)]
        if not layer:
            return False
    return True


def _children(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    children = value.values() if isinstance(value, dict) else value
    return (inner for inner in children if isinstance(inner, (dict, list)))


def to_text(value: object) -> str:
    """Turn a message into text. The message may be a string, or a list or object of messages."""
    match value:
        case str():
            if value.isascii():
                return value.strip()
            # JSON may contain a lone surrogate, which cannot be printed. So replace it.
            return value.strip().encode("utf-8", "replace").decode()
        case list():
            return " ".join(filter(None, map(to_text, value)))
        case dict():
            if "message" in value:
                return to_text(value["message"])
            return " ".join(
                f"{name}: {message}" for name, inner in value.items() if (message := to_text(inner))
            )
        case _:
            return ""


def searchable_part(message: str) -> str:
    """Return the start of a message. Only this part is searched for phrases, to save time."""
    return message[:_MAX_SEARCHED_CHARS]


def first_text(body: Mapping[str, Any], *names: str) -> str:
    """Return the text of the first field in `names` that is not empty; "" if all are empty."""
    for name in names:
        value = body.get(name)
        if value and (message := to_text(value)):
            return message
    return ""


def to_number(value: object) -> float | None:
    """Convert a number or text to a finite number of at least 0. Return None if that fails."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0.0 <= number < math.inf else None


def find_links(value: object) -> tuple[str, ...]:
    """
    Return the results in a field, whatever its shape, as a tuple of strings.

    The field may be a string, a list, a map with numeric keys, a list of objects or a nested
    object. For null, "" and [], the tuple is empty.
    """
    match value:
        case str():
            return (found,) if (found := to_text(value)) else ()
        case list():
            links: list[str] = []
            for inner in value:
                if not isinstance(inner, str):
                    links += find_links(inner)
                elif found := to_text(inner):
                    links.append(found)
            return tuple(links)
        case dict():
            return _find_links_in_object(value)
        case _:
            return ()


def _find_links_in_object(value: Mapping[str, Any]) -> tuple[str, ...]:
    for key in _RESULT_FIELDS:
        if found := find_links(value.get(key)):
            return found
    # PHP writes a list with gaps as a map with numeric keys. Each value of such a map is a result.
    # In any other map, a string that is not a link may be a name or a seed, and is skipped.
    is_list = all(key.isdecimal() for key in value)
    return tuple(
        found
        for key, inner in value.items()
        if key not in _RESULT_FIELDS
        if is_list or not isinstance(inner, str) or _is_link(inner)
        for found in find_links(inner)
    )


def _is_link(value: str) -> bool:
    return value.startswith(("http://", "https://", "data:"))


def find_results(body: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return a finished job's results.

    Search the body first, and then the objects in its fields `data` and `result`.
    Use the field `proxy_links` of an object only if its other fields have no results.
    """
    for container in (body, body.get("data"), body.get("result")):
        if isinstance(container, dict):
            for name in _OUTPUT_FIELDS:
                value = container.get(name)
                if value and (found := find_links(value)):
                    return found
    return ()
