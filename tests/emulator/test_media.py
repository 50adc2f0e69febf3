"""The files at the links of jobs: whole, in part, and not before they exist."""

import zlib

import pytest

from modelslab_async._downloads.content_sniffing import suffix_of
from modelslab_async.emulator import Emulator, FileLinks
from modelslab_async.emulator.media.files import make_file
from modelslab_async.emulator.media.pictures import draw

LINK = "http://emulator.test/media/generations/images/5-0.png"
CONTENT = make_file("images:5#0", "png").content
# More digits than `int` takes.
MANY_DIGITS = "9" * 5000


@pytest.fixture(autouse=True)
def job(emulator):
    return emulator.add_job("images:5", duration=0)


async def test_get_has_type_length_and_etag(visitor):
    """A plain GET has all headers that a downloader needs."""
    reply = await visitor.http.get(LINK)

    assert reply.content == CONTENT
    assert reply.headers["content-type"] == "image/png"
    assert str(len(CONTENT)) == reply.headers["content-length"]
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["etag"].startswith('"')


async def test_head_has_the_length_and_no_body(visitor):
    """HEAD has the headers of GET."""
    reply = await visitor.http.head(LINK)

    assert (str(len(CONTENT)), b"") == (reply.headers["content-length"], reply.content)


async def test_current_etag_gives_304(visitor):
    """A request with the current ETag gets 304."""
    tag = (await visitor.http.get(LINK)).headers["etag"]

    assert (await visitor.http.get(LINK, headers={"if-none-match": tag})).status_code == 304


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-3", CONTENT[:4]),
        ("bytes=10-", CONTENT[10:]),
        ("bytes=-7", CONTENT[-7:]),
        ("bytes=-100000", CONTENT),
        ("bytes=4-100000", CONTENT[4:]),
        pytest.param(f"bytes=4-{MANY_DIGITS}", CONTENT[4:], id="huge end"),
        pytest.param(f"bytes=-{MANY_DIGITS}", CONTENT, id="huge suffix"),
    ],
)
async def test_range_gives_that_part(asked, part, visitor):
    """206 with the requested bytes and their position."""
    reply = await visitor.http.get(LINK, headers={"range": asked})

    start = CONTENT.index(part)
    place = f"bytes {start}-{start + len(part) - 1}/{len(CONTENT)}"
    assert (206, part, place) == (
        reply.status_code,
        reply.content,
        reply.headers["content-range"],
    )


@pytest.mark.parametrize(
    "asked",
    ["bytes=100000-", "bytes=-0", pytest.param(f"bytes={MANY_DIGITS}-", id="huge start")],
)
async def test_range_outside_the_file_gives_416(asked, visitor):
    """The reply says how long the file is."""
    reply = await visitor.http.get(LINK, headers={"range": asked})

    assert (416, f"bytes */{len(CONTENT)}") == (
        reply.status_code,
        reply.headers["content-range"],
    )


@pytest.mark.parametrize("asked", ["bytes=5-3", "bytes=-", "bytes=0-1,4-5", "lines=1-2"])
async def test_invalid_or_multiple_ranges_give_the_whole_file(asked, visitor):
    """Headers other than one valid range are ignored."""
    reply = await visitor.http.get(LINK, headers={"range": asked})

    assert (reply.status_code, reply.content) == (200, CONTENT)


@pytest.mark.parametrize(("current", "status_code"), [(True, 206), (False, 200)])
async def test_range_of_another_version_gives_the_whole_file(current, status_code, visitor):
    """If-Range prevents a mix of two versions."""
    tag = (await visitor.http.get(LINK)).headers["etag"] if current else '"old"'

    reply = await visitor.http.get(LINK, headers={"range": "bytes=0-3", "if-range": tag})

    assert status_code == reply.status_code


@pytest.mark.parametrize(
    "name",
    [
        "images/6-0.png",
        "images/5-1.png",
        "images/5-x.png",
        "images/5-0.mp4",
        "nowhere/5-0.png",
        pytest.param(f"images/5-{MANY_DIGITS}.png", id="huge number"),
        "x",
    ],
)
async def test_unknown_files_give_404(name, visitor):
    """404 for files that no job has made."""
    assert (await visitor.http.get(LINK.replace("images/5-0.png", name))).status_code == 404


async def test_failed_job_has_no_files(emulator, visitor):
    """The future links of a failed job never work."""
    emulator.add_job("images:5", duration=0, fails=True)

    assert (await visitor.http.get(LINK)).status_code == 404


async def test_mirrors_have_the_same_bytes(visitor):
    """The links in proxy_links lead to the same file."""
    mirror = LINK.replace("generations", "cdn")

    assert (await visitor.http.get(mirror)).content == CONTENT


def test_files_depend_on_their_names_only():
    """The same name always gives the same bytes, and another name gives others."""
    kinds = ["png", "jpg", "gif", "webp", "mp4", "wav", "flac", "mp3", "txt"]
    kinds += ["obj", "glb", "stl", "fbx", "ply"]

    for kind in kinds:
        first = make_file("images:1#0", kind).content
        make_file.cache_clear()
        assert first == make_file("images:1#0", kind).content
        assert first != make_file("images:2#0", kind).content


async def test_file_appears_after_the_delay(clock, visit):
    """The file appears some seconds after its job has ended."""
    emulator = Emulator(clock=clock, links=FileLinks(delay=5.0))
    emulator.add_job("images:5", duration=1.0)
    visitor = visit(emulator)

    clock.now += 5.9
    assert (await visitor.http.get(LINK)).status_code == 404
    clock.now += 0.1
    assert (await visitor.http.get(LINK)).content == CONTENT


async def test_link_expires_after_its_lifetime(clock, visit):
    """Each reply names a new link with a new lifetime."""
    emulator = Emulator(clock=clock, links=FileLinks(lifetime=10.0))
    emulator.add_job("images:5", duration=0)
    visitor = visit(emulator)

    (old,) = (await visitor.fetch("images:5")).json()["output"]
    assert (await visitor.http.get(old)).content == CONTENT
    clock.now += 10.0
    assert (await visitor.http.get(old)).status_code == 403
    (new,) = (await visitor.fetch("images:5")).json()["output"]
    assert (await visitor.http.get(new)).content == CONTENT


async def test_link_redirects_before_it_gives_the_file(clock, visit):
    """The link redirects as often as configured, also if it expires."""
    emulator = Emulator(clock=clock, links=FileLinks(redirects=2, lifetime=5.0))
    emulator.add_job("images:5", duration=0)
    visitor = visit(emulator)
    (link,) = (await visitor.fetch("images:5")).json()["output"]

    reply = await visitor.http.get(link, follow_redirects=True)

    assert ([302, 302], CONTENT) == ([each.status_code for each in reply.history], reply.content)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("expires=1e9&redirects=abc", "redirects is a whole number of at least 0, got 'abc'"),
        ("expires=1e9&redirects=1.5", "redirects is a whole number of at least 0, got '1.5'"),
        ("expires=1e9&redirects=-1", "redirects is a whole number of at least 0, got '-1'"),
        ("expires=1e9&redirects=%00", r"redirects is a whole number of at least 0, got '\x00'"),
        ("expires=abc", "expires is a time in seconds, got 'abc'"),
        ("expires=nan", "expires is a time in seconds, got 'nan'"),
    ],
)
async def test_misspelt_query_of_a_link_gives_400(query, expected, clock, visit):
    """The reply says what was expected."""
    emulator = Emulator(clock=clock, links=FileLinks(redirects=1, lifetime=5.0))
    emulator.add_job("images:5", duration=0)

    reply = await visit(emulator).http.get(f"{LINK}?{query}")

    assert 400 == reply.status_code
    assert reply.text.startswith(expected)
    assert 100 > len(reply.text)


async def test_html_page_and_plain_file_replace_the_file(clock, visit):
    """A page in place of the file, and a file without ranges or ETags."""
    emulator = Emulator(clock=clock, links=FileLinks(html_page=True))
    emulator.add_job("images:5", duration=0)
    reply = await visit(emulator).http.get(LINK)
    assert (200, "text/html") == (reply.status_code, reply.headers["content-type"])

    emulator = Emulator(clock=clock, links=FileLinks(ranges=False, etags=False))
    emulator.add_job("images:5", duration=0)
    reply = await visit(emulator).http.get(LINK, headers={"range": "bytes=4-"})
    assert (200, CONTENT, False) == (reply.status_code, reply.content, "etag" in reply.headers)


@pytest.mark.parametrize("wrong", [{"delay": -1}, {"lifetime": -1}, {"redirects": -1}])
def test_links_refuse_negative_arguments(wrong):
    """The error names the argument."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FileLinks(**wrong)


def pixels_of(png):
    """Return the rows of palette indexes of a PNG, each without its filter byte."""
    length = int.from_bytes(png[16:20])
    start = png.index(b"IDAT") + 4
    size = int.from_bytes(png[start - 8 : start - 4])
    data = zlib.decompress(png[start : start + size])
    return [data[at + 1 : at + 1 + length] for at in range(0, len(data), length + 1)]


def test_picture_shows_its_caption():
    """The rows of the letters are in the picture, and another caption gives another picture."""
    first, second = (make_file("realtime:1#0", "png", text).content for text in ("HI", "HO"))
    cell, text_colour = 6, 12
    rows = [row[::cell] for row in pixels_of(first)[::cell]]
    text = ["".join("#" if index == text_colour else "." for index in row) for row in rows]
    letters = [line.strip(".") for line in text if "#" in line]

    assert letters == [
        "#...#..###",
        "#...#...#",
        "#...#...#",
        "#####...#",
        "#...#...#",
        "#...#...#",
        "#...#..###",
    ]
    assert first != second


@pytest.mark.parametrize("caption", ["", "a lighthouse"])
def test_webp_shows_the_same_cells_as_the_picture(caption):
    """Its codes, read one after another, give the colour of each cell, twice in both directions."""
    content = make_file("realtime:1#0", "webp", caption).content
    assert (b"RIFF", len(content) - 8, b"WEBPVP8L") == (
        content[:4],
        int.from_bytes(content[4:8], "little"),
        content[8:16],
    )
    drawn = draw("realtime:1#0", caption)
    bits = WebpBits(content[20:])
    assert [0x2F, drawn.width * 2 - 1, drawn.height * 2 - 1] == bits.numbers(8, 14, 14)
    # No alpha, version 0, and a palette of 16 colours without a cache of colours.
    assert [0, 0, 1, 3, 15, 0] == bits.numbers(1, 3, 1, 2, 8, 1)
    codes = bits.codes()
    colours, before = [], (0, 0, 0, 0)
    for _ in range(16):
        green, red, blue, alpha = (bits.symbol(code) for code in codes[:4])
        before = tuple(
            (old + new) % 256 for old, new in zip(before, (red, green, blue, alpha), strict=True)
        )
        colours.append(before)
    assert [(*colour, 255) for colour in drawn.palette] == colours[: len(drawn.palette)]
    # No further transform, no cache of colours, and the same codes for all pixels.
    assert [0, 0, 0] == bits.numbers(1, 1, 1)
    green, *others = bits.codes()
    rows = [[bits.symbol(green) for _ in range(drawn.width)] for _ in range(drawn.height * 2)]
    cells = [
        [index * 0x11 for index in drawn.cells[at : at + drawn.width]]
        for at in range(0, len(drawn.cells), drawn.width)
    ]
    assert [row for row in cells for _ in range(2)] == rows
    assert [{"": 0}] * 4 == others
    assert bits.left < 16


class WebpBits:
    """Reads the bits of a lossless WebP, whose prefix codes have one or two lengths."""

    def __init__(self, data):
        self._bits = "".join(f"{byte:08b}"[::-1] for byte in data)
        self._at = 0

    @property
    def left(self):
        return len(self._bits) - self._at

    def numbers(self, *lengths):
        return [self._number(length) for length in lengths]

    def _number(self, length):
        self._at += length
        return int(self._bits[self._at - length : self._at][::-1], 2)

    def symbol(self, code):
        """Read the symbol of the next code."""
        length = next(
            length
            for length in range(16)
            if self._bits[self._at : self._at + length] in code and length <= self.left
        )
        self._at += length
        return code[self._bits[self._at - length : self._at]]

    def codes(self):
        """Read the codes of green, red, blue, alpha and distances."""
        return [self._code(count) for count in (280, 256, 256, 256, 40)]

    def _code(self, count):
        if self._number(1):
            several, is_wide = self.numbers(1, 1)
            first = self._number(8 if is_wide else 1)
            return {"0": first, "1": self._number(8)} if several else {"": first}
        order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        lengths = [0] * 19
        for each in order[: self._number(4) + 4]:
            lengths[each] = self._number(3)
        assert not self._number(1)
        code_of_lengths = prefix_code(lengths)
        return prefix_code([self.symbol(code_of_lengths) for _ in range(count)])


def prefix_code(lengths):
    """Return the canonical code of symbols with these lengths, which must be complete."""
    code, next_code = {}, 0
    for length in range(1, 16):
        for symbol in (each for each, its_length in enumerate(lengths) if its_length == length):
            code[f"{next_code:0{length}b}"] = symbol
            next_code += 1
        next_code <<= 1
    assert sum(2 ** -len(bits) for bits in code) == 1
    return code


def test_flac_holds_the_samples_of_the_wav():
    """Its frame holds them as they are, below two checksums that are right."""
    content = make_file("voice:1#0", "flac").content
    samples = make_file("voice:1#0", "wav").content[-800:]
    frame = content[42:]
    head, checksum, subframe = frame[:7], frame[7], frame[8:-2]

    assert b"fLaC\x80\x00\x00\x22" == content[:8]
    assert 8000 << 44 | 7 << 36 | 800 == int.from_bytes(content[18:26])
    assert (b"\xff\xf8", 799) == (head[:2], int.from_bytes(head[5:]))
    assert (b"\x02", samples) == (subframe[:1], bytes((each + 128) % 256 for each in subframe[1:]))
    # A polynomial divides the data with their checksum without a remainder.
    assert 0 == remainder(head + bytes((checksum,)), 0x107) == remainder(frame, 0x18005)


def remainder(data, polynomial):
    """Divide the data by a polynomial whose coefficients are bits."""
    rest, degree = int.from_bytes(data), polynomial.bit_length() - 1
    while rest.bit_length() > degree:
        rest ^= polynomial << rest.bit_length() - degree - 1
    return rest


def test_models_are_the_same_closed_tetrahedron():
    """Each edge of its faces is walked once in both directions, in every text format."""
    texts = {
        kind: make_file("three_d:1#0", kind).content.decode() for kind in ("obj", "ply", "stl")
    }
    fbx = make_file("three_d:1#0", "fbx").content.decode()
    obj = [line.split() for line in texts["obj"].splitlines()]
    points = [tuple(line[1:]) for line in obj if line[0] == "v"]
    faces = {
        "obj": [tuple(points[int(each) - 1] for each in line[1:]) for line in obj if "f" in line],
        "ply": [
            tuple(points[int(each)] for each in line.split()[1:])
            for line in texts["ply"].splitlines()[-4:]
        ],
        "stl": [
            tuple(tuple(line.split()) for line in facet.split("vertex")[1:])
            for facet in texts["stl"].replace("endloop", "").split("facet normal 0 0 0")[1:]
        ],
    }
    numbers = [list(map(int, part.split("\n")[0].split(","))) for part in fbx.split("a: ")[1:]]
    corners = [each if each >= 0 else -each - 1 for each in numbers[1]]
    assert [int(value) for point in points for value in point] == numbers[0]
    assert [each < 0 for each in numbers[1]] == [False, False, True] * 4
    faces["fbx"] = [tuple(points[each] for each in corners[at : at + 3]) for at in range(0, 12, 3)]
    faces["stl"] = [tuple(corner[:3] for corner in face) for face in faces["stl"]]
    assert faces["obj"] == faces["ply"] == faces["stl"] == faces["fbx"]
    edges = [(face[at - 1], face[at]) for face in faces["obj"] for at in range(3)]
    assert 12 == len(set(edges))
    assert set(edges) == {(end, start) for start, end in edges}


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp", "mp4"])
@pytest.mark.parametrize(
    "caption", ["", " ", "a cat", "é—猫\0\ud800\n" * 9, "word " * 500, "x" * 4000]
)
def test_any_caption_makes_a_small_picture(kind, caption):
    """No prompt makes the emulator fail, or a file large."""
    file = make_file("realtime:1#0", kind, caption)

    assert 0 < len(file.content) < 100_000
    assert kind == suffix_of(file.content, ("image", "video"))


async def test_pictures_of_a_submit_show_its_prompt(visitor, clock):
    """A submit with a prompt has a picture with words, of which each sample has its own."""
    submit = {"prompt": "a lighthouse", "samples": 2, "model_id": "flux"}
    links = (await visitor.submit("v6/images/text2img", **submit)).json()["future_links"]
    clock.now += 4
    first, second = [(await visitor.http.get(link)).content for link in links]

    assert len(CONTENT) < len(first) < 10_000
    assert first != second
