"""Files among the parameters: read, bounded, sent first, and a link in their place."""

import base64
import io
import json

import pytest

from modelslab_async import SubmitUncertain, UnreadableReply

from .conftest import Service, lost, said, taken

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20
LINK = "https://x.example/upload.png"
IMG2IMG = "realtime/img2img"


def uploaded(service, fields):
    service.uploads.append(fields["base64_string"])
    return said(status="success", output=[LINK])


@pytest.fixture
def here():
    service = Service(uploaded, taken)
    service.uploads = []
    return service


@pytest.mark.parametrize("form", ["bytes", "bytearray", "path", "file", "list"])
async def test_a_file_becomes_a_link(here, tmp_path, form):
    """In whatever form it is given, the service gets the file once, and then its link."""
    path = tmp_path / "house.png"
    path.write_bytes(PNG)
    given = {
        "bytes": PNG,
        "bytearray": bytearray(PNG),
        "path": path,
        "file": io.BytesIO(PNG),
        "list": [PNG],
    }[form]

    async with here.client() as client:
        await client.submit(IMG2IMG, prompt="winter", init_image=given)

    assert [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"] == here.uploads
    assert ([LINK] if form == "list" else LINK) == here.submits[-1]["init_image"]


async def test_a_text_is_no_file(service):
    """A text passes as it is, even if a file has that name."""
    here = service()
    async with here.client() as client:
        await client.submit(IMG2IMG, prompt="winter", init_image="https://x.example/a.png")
    assert ["https://x.example/a.png"] == [each["init_image"] for each in here.submits]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"x" * 5_000_001, "longer than the 5000000 bytes"),
        (b"", "empty"),
        (io.StringIO("text"), "'rb'"),
    ],
)
async def test_what_is_no_good_file_is_said_before_anything_is_sent(here, given, words):
    """Too long, empty, or a text: nothing leaves."""
    async with here.client() as client:
        with pytest.raises(ValueError, match=f"init_image.*{words}"):
            await client.submit(IMG2IMG, prompt="winter", init_image=given)

    assert [] == here.submits


async def test_a_file_that_is_not_there(here, tmp_path):
    """The system's own error says which file is missing."""
    async with here.client() as client:
        with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
            await client.submit(IMG2IMG, prompt="w", init_image=tmp_path / "nothing.png")

    assert [] == here.submits


async def test_an_upload_without_a_link_starts_nothing(here):
    """A reply that names no link is a fault, and no work was begun."""
    here.steps[0] = lambda *_: said(status="success")

    async with here.client() as client:
        with pytest.raises(UnreadableReply, match="no link"):
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)

    assert not here.starts


async def test_the_hash_knows_the_file_and_not_its_link(here):
    """The same file under another link is the same payload; another file is another."""
    links = iter("abc")

    def linked(_service, _fields):
        return said(status="success", output=[f"https://x.example/{next(links)}.png"])

    here.steps = [linked, lost, linked, lost, linked, lost]
    hashes = []

    async with here.client() as client:
        for data in (PNG, PNG, PNG + b"!"):
            with pytest.raises(SubmitUncertain) as caught:
                await client.submit(IMG2IMG, prompt="winter", init_image=data)
            hashes.append(caught.value.payload_hash)

    assert hashes[0] == hashes[1] != hashes[2]
    assert "x.example" in json.dumps(here.submits[1])
