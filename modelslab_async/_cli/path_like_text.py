"""Whether a text looks like the path of a file. Never looks for the file."""

import mimetypes
import re
from pathlib import PurePath
from typing import Final

_FILE_TYPES: Final = ("image/", "audio/", "video/")
# `./a`, `../a`, `~/a`, `/a/b` and `C:\\a`, without whitespace: `/imagine a cat` is a prompt.
_ROOTED: Final = re.compile(r"(?:(?:~|\.\.?|[A-Za-z]:)[/\\]|/[^/\s]+/)\S+")
_MAX_NAME_CHARS: Final = 255


def looks_like_path(text: str) -> bool:
    """
    Whether a text looks like the path of a file.

    It ends with the suffix of an image, a sound or a video, or it begins as paths do.
    """
    if _ROOTED.fullmatch(text):
        return True
    name = PurePath(text).name
    stem, dot, suffix = name.rpartition(".")
    if not (dot and stem == stem.rstrip() and stem) or len(name) > _MAX_NAME_CHARS or "\n" in text:
        return False
    return (mimetypes.guess_type(f"a.{suffix}")[0] or "").startswith(_FILE_TYPES)
