"""Whether a text looks like the path of a file. It does not look for the file."""

import re
from pathlib import PurePath
from typing import Final

# Not the `mimetypes` of the system: a text is a path on every machine or on none.
_IMAGE_SUFFIXES: Final = "avif bmp gif heic heif ico jfif jpe jpeg jpg png svg tif tiff webp"
_SOUND_SUFFIXES: Final = "aac aif aiff flac m4a mp3 oga ogg opus wav weba wma"
_VIDEO_SUFFIXES: Final = "avi m4v mkv mov mp4 mpeg mpg ogv webm wmv"
_SUFFIXES: Final = {*f"{_IMAGE_SUFFIXES} {_SOUND_SUFFIXES} {_VIDEO_SUFFIXES}".split()}
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
    return suffix.casefold() in _SUFFIXES
