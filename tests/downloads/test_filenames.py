"""Names and kinds: what files are called, and what they are, whatever anybody calls them."""

import base64
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import FAMILIES, Ticket
from modelslab_async._downloads.content_sniffing import suffix_of
from modelslab_async._downloads.error_pages import is_json_error, is_web_page
from modelslab_async._downloads.filenames import stem_of
from modelslab_async._downloads.inline_data import decode_base64, decode_percent, find_encoded
from modelslab_async.emulator.media.files import make_file

from .conftest import PAGE, PNG

RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in "0123")}


def is_id(text):
    try:
        Ticket("images", text)
    except ValueError:
        return False
    return True


IDS = st.text(min_size=1, max_size=60).filter(is_id)


def test_plain_ids_stand_in_the_name():
    """So that a file can be found again."""
    assert "images-13443927-0" == stem_of(Ticket("images", 13443927), 0)
    assert "video-8f14e45f-ea2a-3" == stem_of(Ticket("video", "8f14e45f-ea2a"), 3)


@given(id_=IDS, family=st.sampled_from([*FAMILIES, "con", "A-b"]), n=st.integers(0, 99))
def test_every_name_is_safe_everywhere(id_, family, n):
    """One short part of plain characters: no folder, no reserved name, no capitals, no dot."""
    stem = stem_of(Ticket(family, id_), n)

    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert len(stem) < 200
    assert stem.endswith(f"-{n}")
    assert stem not in RESERVED


@given(first=IDS, second=IDS)
def test_other_tickets_have_other_names(first, second):
    """Also those that differ in capitals or accents alone."""
    names = {stem_of(Ticket("images", id_), 0) for id_ in (first, second)}

    assert len({first, second}) == len(names)


@pytest.mark.parametrize(
    ("first", "second"), [("aB", "Ab"), ("a b", "a_b"), ("ß", "ss"), ("é", "e"), ("1/2", "1_2")]
)
def test_ids_that_some_systems_take_for_one(first, second):
    """Their names differ on those systems too."""
    assert stem_of(Ticket("x", first), 0).lower() != stem_of(Ticket("x", second), 0).lower()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a", "b-c"), ("a-b", "c")),
        (("a", "b-c-d"), ("a-b-c", "d")),
        (("a", "É"), ("a", stem_of(Ticket("a", "É"), 0).split("-")[1])),
        (("a", "中"), ("a", stem_of(Ticket("a", "中"), 0).split("-")[1])),
        (("A", "1"), (stem_of(Ticket("A", "1"), 0).split("-")[0], "1")),
    ],
)
def test_tickets_of_two_families_have_other_stems(first, second):
    """A dash in a family, or an id that looks like a checksum, never meets another ticket."""
    assert stem_of(Ticket(*first), 0) != stem_of(Ticket(*second), 0)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "mp4", "wav", "txt", "obj", "glb"])
def test_what_the_emulator_makes_is_known(kind):
    """Every type of result is told by its bytes."""
    assert kind == suffix_of(make_file("images:1#0", kind).content, ())


SOUNDS = ("audio",)
FILMS = ("video",)
MODELS = ("3d",)
TEXTS = ("text",)


@pytest.mark.parametrize(
    ("head", "media", "named", "suffix"),
    [
        (b"RIFF\0\0\0\0WEBPVP8 ", ("image",), "", "webp"),
        (b"BM\x46\0\0\0\0\0\0\0", ("image",), "", "bmp"),
        (b"BMW is no bitmap", ("image",), "", None),
        (b"\0\0\0\x20ftypavif", ("image",), "", "avif"),
        (b"\0\0\0\x20ftypisom", FILMS, "", "mp4"),
        (b"\0\0\0\x20ftypisom", SOUNDS, "", "m4a"),
        (b"\0\0\0\x20ftypM4A ", ("audio", "video"), "", "m4a"),
        (b"\0\0\0\x20ftypisom", ("image",), "", None),
        (b"\x1a\x45\xdf\xa3\1", FILMS, "", "webm"),
        (b"ID3\4", SOUNDS, "", "mp3"),
        (b"\xff\xfb\x90\x64", SOUNDS, "", "mp3"),
        (b"\xff\xf3\x90\x64", SOUNDS, "", "mp3"),
        (b"\xff\xeb\x90\x64", SOUNDS, "", None),
        ("\ufeff<p>no".encode("utf-16-le"), SOUNDS, "", None),
        (b"\xff\xf1\x50\x80", SOUNDS, "", "aac"),
        (b"\xff", SOUNDS, "", None),
        (b"fLaC\0", SOUNDS, "", "flac"),
        (b"OggS\0", SOUNDS, "", "ogg"),
        (b"FORM\0\0\0\0AIFF", SOUNDS, "", "aiff"),
        (b"ply\nformat ascii 1.0", MODELS, "", "ply"),
        (b"solid thing\nfacet", MODELS, "", "stl"),
        (bytes(80) + b"\1\0\0\0", MODELS, "stl", "stl"),
        (bytes(80) + b"\1\0\0\0", MODELS, "", None),
        (b"just some words " * 9, MODELS, "stl", None),
        (b'{"asset": {"version": "2.0"}}', MODELS, "", "gltf"),
        (b"# a thing\nmtllib x.mtl\nv 0 0 0\n", MODELS, "", "obj"),
        (b"<svg xmlns='x'></svg>", ("image",), "", "svg"),
        (b"<?xml version='1.0'?>\n<svg>", ("image",), "", "svg"),
        (
            b"<?xml version='1.0'?><!-- by x --><!DOCTYPE svg PUBLIC 'x'>\n<svg a='b'>",
            (),
            "",
            "svg",
        ),
        (b"<think>so be it</think>", TEXTS, "", "txt"),
        (b"<s> a token", TEXTS, "", "txt"),
        (b'{"text": "hi", "message": "the words"}', TEXTS, "json", "json"),
        (b'{"asset": {"version": "2.0"}, "message": "a"}', MODELS, "", "gltf"),
        (b'[{"text": "hi"}]', TEXTS, "json", "json"),
        (b"hello", TEXTS, "exe", "txt"),
        ("Grüße".encode()[:-2], TEXTS, "", "txt"),
        (b"\xff\xfe\0h", TEXTS, "", None),
        (PNG, TEXTS, "", None),
        (b"", TEXTS, "", None),
        (PAGE, TEXTS, "", None),
        (b"\xef\xbb\xbf \n<HTML lang=en>", TEXTS, "", None),
        (b"<!-- x --><html>", TEXTS, "", None),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", TEXTS, "", None),
    ],
)
def test_what_a_file_is(head, media, named, suffix):
    """Its first bytes say it, within what the family makes."""
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
def test_a_page_is_none_of_them(tag, before, encoding):
    """Whatever its first tag is, and whatever it is written in; its mark is no sound."""
    page = f"{before}<{tag}>502 Bad Gateway</x>".encode(encoding)
    known = before != " \n" or encoding not in ("utf-16-le", "utf-16-be")

    assert is_web_page(page) is known
    for media in (TEXTS, SOUNDS, MODELS, ("image",)):
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
def test_an_error_is_none_of_them(body):
    """A body that tells of nothing else is no transcript."""
    for media in (TEXTS, MODELS, ()):
        assert suffix_of(body, media, "json") is None


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b"{}", b'{"text": "x"}', b'{"message": ""}', b"{" * 4000, b'{"a":' * 800]
)
def test_what_is_no_error(body):
    """Other JSON is taken for what it is, and none of it breaks anything."""
    assert not is_json_error(body)


@given(data=st.binary(max_size=60), size=st.integers(1, 9))
def test_quoted_bytes_come_back_however_they_are_cut(data, size):
    """Pieces may end in the midst of an escape."""
    text = quote_from_bytes(data).encode()

    assert data == b"".join(
        decode_percent(text[at : at + size] for at in range(0, len(text), size))
    )


@given(data=st.binary(max_size=300), size=st.integers(1, 50), padded=st.booleans())
def test_base64_comes_back_however_it_is_cut(data, size, padded):
    """Pieces may end anywhere, and padding may be left out."""
    text = base64.b64encode(data)
    text = text if padded else text.rstrip(b"=")

    assert data == b"".join(decode_base64(text[at : at + size] for at in range(0, len(text), size)))


@given(st.binary(max_size=200))
def test_no_bytes_are_a_surprise(data):
    """Whatever comes is a kind, or none."""
    for media in ((), TEXTS, MODELS, ("image",)):
        suffix_of(data, media)
        find_encoded(data, media)
