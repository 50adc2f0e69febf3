"""Makes small valid files of each type that jobs produce. Equal arguments give equal bytes."""

import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache

from attrs import frozen

from .image_encoders import gif, jpeg, png
from .model_encoders import fbx, glb, obj, ply, stl
from .mp4_encoder import mp4
from .pictures import Picture, draw
from .sound_encoders import flac, mp3, wav
from .webp_encoder import webp


@frozen
class MediaFile:
    """The content of a file, its type, and an ETag that depends on the content alone."""

    content: bytes
    content_type: str
    etag: str


def _txt(name: str) -> bytes:
    return f"This is the transcript of {name}.\n".encode()


def _drawn(encode: Callable[[Picture], bytes]) -> Callable[[str, str], bytes]:
    return lambda name, caption: encode(draw(name, caption))


def _without_caption(make: Callable[[str], bytes]) -> Callable[[str, str], bytes]:
    return lambda name, _caption: make(name)


_MAKERS: Mapping[str, tuple[str, Callable[[str, str], bytes]]] = {
    "png": ("image/png", _drawn(png)),
    "jpg": ("image/jpeg", _drawn(jpeg)),
    "gif": ("image/gif", _drawn(gif)),
    "webp": ("image/webp", _drawn(webp)),
    "mp4": ("video/mp4", _drawn(mp4)),
    "wav": ("audio/wav", _without_caption(wav)),
    "mp3": ("audio/mpeg", _without_caption(mp3)),
    "flac": ("audio/flac", _without_caption(flac)),
    "txt": ("text/plain; charset=utf-8", _without_caption(_txt)),
    "obj": ("model/obj", _without_caption(obj)),
    "glb": ("model/gltf-binary", _without_caption(glb)),
    "stl": ("model/stl", _without_caption(stl)),
    "fbx": ("application/octet-stream", _without_caption(fbx)),
    "ply": ("text/plain; charset=utf-8", _without_caption(ply)),
}


@lru_cache(maxsize=256)
def make_file(name: str, suffix: str, caption: str = "") -> MediaFile:
    """Make the file with this name and type. A picture or video shows the caption."""
    content_type, make_content = _MAKERS[suffix]
    return _file(make_content(name, caption), content_type)


def as_base64(file: MediaFile) -> MediaFile:
    """Return a text file whose content is this file in base64."""
    return _file(b64encode(file.content), "text/plain; charset=utf-8")


def _file(content: bytes, content_type: str) -> MediaFile:
    return MediaFile(content, content_type, f'"{zlib.crc32(content):08x}-{len(content)}"')
