"""Content sniffing: the bytes decide what a file is, whatever its URL or headers say."""

import base64
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async._downloads.content_sniffing import suffix_of
from modelslab_async._downloads.error_pages import is_json_error, is_web_page
from modelslab_async._downloads.inline_data import decode_base64, decode_percent, find_encoded
from modelslab_async.emulator.media.files import make_file

from .conftest import PAGE, PNG


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "mp4", "wav", "txt", "obj", "glb"])
def test_emulator_files_are_recognised(kind):
    """Every type of result is recognised by its bytes."""
    assert kind == suffix_of(make_file("images:1#0", kind).content, ())


AUDIO = ("audio",)
VIDEO = ("video",)
MODEL_3D = ("3d",)
TEXT = ("text",)


@pytest.mark.parametrize(
    ("head", "media", "named", "suffix"),
    [
        (b"RIFF\0\0\0\0WEBPVP8 ", ("image",), "", "webp"),
        (b"BM\x46\0\0\0\0\0\0\0", ("image",), "", "bmp"),
        (b"BMW is no bitmap", ("image",), "", None),
        (b"\0\0\0\x20ftypavif", ("image",), "", "avif"),
        (b"\0\0\0\x20ftypisom", VIDEO, "", "mp4"),
        (b"\0\0\0\x20ftypisom", AUDIO, "", "m4a"),
        (b"\0\0\0\x20ftypM4A ", ("audio", "video"), "", "m4a"),
        (b"\0\0\0\x20ftypisom", ("image",), "", None),
        (b"\x1a\x45\xdf\xa3\1", VIDEO, "", "webm"),
        (b"ID3\4", AUDIO, "", "mp3"),
        (b"\xff\xfb\x90\x64", AUDIO, "", "mp3"),
        (b"\xff\xf3\x90\x64", AUDIO, "", "mp3"),
        (b"\xff\xeb\x90\x64", AUDIO, "", None),
        ("\ufeff<p>no".encode("utf-16-le"), AUDIO, "", None),
        (b"\xff\xf1\x50\x80", AUDIO, "", "aac"),
        (b"\xff", AUDIO, "", None),
        (b"fLaC\0", AUDIO, "", "flac"),
        (b"OggS\0", AUDIO, "", "ogg"),
        (b"FORM\0\0\0\0AIFF", AUDIO, "", "aiff"),
        (b"ply\nformat ascii 1.0", MODEL_3D, "", "ply"),
        (b"solid thing\nfacet", MODEL_3D, "", "stl"),
        (bytes(80) + b"\1\0\0\0", MODEL_3D, "stl", "stl"),
        (bytes(80) + b"\1\0\0\0", MODEL_3D, "", None),
        (b"just some words " * 9, MODEL_3D, "stl", None),
        (b'{"asset": {"version": "2.0"}}', MODEL_3D, "", "gltf"),
        (b"# a thing\nmtllib x.mtl\nv 0 0 0\n", MODEL_3D, "", "obj"),
        (b"<svg xmlns='x'></svg>", ("image",), "", "svg"),
        (b"<?xml version='1.0'?>\n<svg>", ("image",), "", "svg"),
        (
            b"<?xml version='1.0'?><!-- by x --><!DOCTYPE svg PUBLIC 'x'>\n<svg a='b'>",
            (),
            "",
            "svg",
        ),
        (b"<think>so be it</think>", TEXT, "", "txt"),
        (b"<s> a token", TEXT, "", "txt"),
        (b'{"text": "hi", "message": "the words"}', TEXT, "json", "json"),
        (b'{"asset": {"version": "2.0"}, "message": "a"}', MODEL_3D, "", "gltf"),
        (b'[{"text": "hi"}]', TEXT, "json", "json"),
        (b"hello", TEXT, "exe", "txt"),
        ("Grüße".encode()[:-2], TEXT, "", "txt"),
        (b"\xff\xfe\0h", TEXT, "", None),
        (PNG, TEXT, "", None),
        (b"", TEXT, "", None),
        (PAGE, TEXT, "", None),
        (b"\xef\xbb\xbf \n<HTML lang=en>", TEXT, "", None),
        (b"<!-- x --><html>", TEXT, "", None),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", TEXT, "", None),
    ],
)
def test_suffix_comes_from_first_bytes(head, media, named, suffix):
    """The first bytes decide, within what the family makes."""
    assert suffix == suffix_of(head, media, named)


@pytest.mark.parametrize(
    "tag",
    [
        "h1",
        "meta charset=x",
        "center",
        "div\nf x",
        "p",
        "BODY",
        "br/",
        "table",
        "a href=x",
        "!DOCTYPE html",
    ],
)
@pytest.mark.parametrize("before", ["", " \n", "<!-- a -->\n", "<?xml version='1.0'?>", "<?php ?>"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_web_page_is_no_result(tag, before, encoding):
    """Whatever its first tag and encoding are."""
    page = f"{before}<{tag}>502 Bad Gateway</x>".encode(encoding)
    known = before != " \n" or encoding not in ("utf-16-le", "utf-16-be")

    assert is_web_page(page) is known
    for media in (TEXT, AUDIO, MODEL_3D, ("image",)):
        assert suffix_of(page, media) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"error","message":"expired"}',
        b' {"error": {"code": 404}}',
        b'{"detail":"Not Found"}',
        b'{"status": "failed", "id": 5, "output": []}',
        b'{"success": false, "errors": ["no"], "code": 12}',
    ],
)
def test_json_error_is_no_result(body):
    """A body that holds only an error is no transcript."""
    for media in (TEXT, MODEL_3D, ()):
        assert suffix_of(body, media, "json") is None


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b"{}", b'{"text": "x"}', b'{"message": ""}', b"{" * 4000, b'{"a":' * 800]
)
def test_other_json_is_no_error(body):
    """Other JSON is accepted, and malformed JSON breaks nothing."""
    assert not is_json_error(body)


@given(data=st.binary(max_size=60), size=st.integers(1, 9))
def test_percent_decoding_survives_any_split(data, size):
    """A chunk may end inside an escape."""
    text = quote_from_bytes(data).encode()

    assert data == b"".join(
        decode_percent(text[at : at + size] for at in range(0, len(text), size))
    )


@given(data=st.binary(max_size=300), size=st.integers(1, 50), padded=st.booleans())
def test_base64_decoding_survives_any_split(data, size, padded):
    """A chunk may end anywhere, and padding may be missing."""
    text = base64.b64encode(data)
    text = text if padded else text.rstrip(b"=")

    assert data == b"".join(decode_base64(text[at : at + size] for at in range(0, len(text), size)))


@given(st.binary(max_size=200))
def test_sniffing_accepts_any_bytes(data):
    """Random bytes raise nothing."""
    for media in ((), TEXT, MODEL_3D, ("image",)):
        suffix_of(data, media)
        find_encoded(data, media)
