"""Makes small valid files of each type that jobs produce. The same name gives the same bytes."""

import json
import math
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache

from attrs import frozen

from .image_encoders import gif, jpeg, png
from .mp4_encoder import mp4
from .pictures import Picture, draw

_SAMPLE_RATE_HZ = 8000
# A frame of MPEG 1 layer 3 at 128 kbit/s and 44.1 kHz lasts 26 ms.
_MP3_FRAME_BYTES = 417
_MP3_FRAME_COUNT = 4
_TETRAHEDRON_POINTS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
_TETRAHEDRON_FACES = ((1, 3, 2), (1, 2, 4), (1, 4, 3), (2, 3, 4))


@frozen
class MediaFile:
    """The content of a file, its type, and an ETag that depends on the content alone."""

    content: bytes
    content_type: str
    etag: str


def _wav(name: str) -> bytes:
    """Make a tone of 0.1 seconds. Its pitch depends on the name."""
    pitch = 220 + zlib.crc32(name.encode()) % 660
    sound = bytes(
        128 + round(90 * math.sin(2 * math.pi * pitch * sample / _SAMPLE_RATE_HZ))
        for sample in range(_SAMPLE_RATE_HZ // 10)
    )
    format_chunk = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, 1, _SAMPLE_RATE_HZ, _SAMPLE_RATE_HZ, 1, 8
    )
    data = format_chunk + struct.pack("<4sI", b"data", len(sound)) + sound
    return struct.pack("<4sI4s", b"RIFF", len(data) + 4, b"WAVE") + data


def _obj(name: str) -> bytes:
    points = "".join(f"v {x} {y} {z}\n" for x, y, z in _TETRAHEDRON_POINTS)
    faces = "".join(f"f {a} {b} {c}\n" for a, b, c in _TETRAHEDRON_FACES)
    return f"# {name}\n{points}{faces}".encode()


def _ply(name: str) -> bytes:
    points = "".join(f"{x} {y} {z}\n" for x, y, z in _TETRAHEDRON_POINTS)
    faces = "".join(f"3 {a - 1} {b - 1} {c - 1}\n" for a, b, c in _TETRAHEDRON_FACES)
    properties = "".join(f"property float {axis}\n" for axis in "xyz")
    return (
        f"ply\nformat ascii 1.0\ncomment {name}\nelement vertex 4\n{properties}"
        f"element face 4\nproperty list uchar int vertex_index\nend_header\n{points}{faces}"
    ).encode()


def _glb(name: str) -> bytes:
    scene = json.dumps({"asset": {"version": "2.0", "generator": name}}).encode()
    scene += b" " * (-len(scene) % 4)
    chunk = struct.pack("<I4s", len(scene), b"JSON") + scene
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunk)) + chunk


def _mp3(name: str) -> bytes:
    """Make a tenth of a second of silence, with the name as its title."""
    title = b"\x03" + name.encode()
    frame = struct.pack(">4sIH", b"TIT2", len(title), 0) + title
    # The size in the header has seven bits in each byte.
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    silence = b"\xff\xfb\x90\xc0" + bytes(_MP3_FRAME_BYTES - 4)
    return b"ID3\x03\x00\x00" + size + frame + silence * _MP3_FRAME_COUNT


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
    "mp4": ("video/mp4", _drawn(mp4)),
    "wav": ("audio/wav", _without_caption(_wav)),
    "mp3": ("audio/mpeg", _without_caption(_mp3)),
    "txt": ("text/plain; charset=utf-8", _without_caption(_txt)),
    "obj": ("model/obj", _without_caption(_obj)),
    "glb": ("model/gltf-binary", _without_caption(_glb)),
    "ply": ("text/plain; charset=utf-8", _without_caption(_ply)),
}


@lru_cache(maxsize=256)
def make_file(name: str, suffix: str, caption: str = "") -> MediaFile:
    """Make the file with this name and type. A picture or video shows the caption."""
    content_type, make_content = _MAKERS[suffix]
    return _file(make_content(name, caption), content_type)


def as_base64(file: MediaFile) -> MediaFile:
    """Return a text file that holds this file in base64."""
    return _file(b64encode(file.content), "text/plain; charset=utf-8")


def _file(content: bytes, content_type: str) -> MediaFile:
    return MediaFile(content, content_type, f'"{zlib.crc32(content):08x}-{len(content)}"')
