"""Saving: what a link or a reply holds becomes one whole file, whatever happens on the way."""

import asyncio
import base64
import hashlib

import pytest

from modelslab_async import (
    DownloadError,
    Failed,
    File,
    FileTooLarge,
    LinkGone,
    ServerError,
    Ticket,
    TransferFailed,
    WrongContent,
)

from .conftest import PAGE, PNG, TICKET, Looks, Server, names, picture, success

NOT_FOUND = (404, {}, b"not yet")


async def test_an_output_becomes_a_file(server, saving, folder):
    """It has its family, id and number as its name, and its record says what it is."""
    async with saving() as downloads:
        files = await downloads.save(success(server.link("x.php?sig=secret"), server.link("y")))

    first = File(
        ticket=TICKET,
        n=0,
        path=folder / "images-1-0.png",
        sha256=hashlib.sha256(PNG).hexdigest(),
        size=len(PNG),
        url=server.link("x.php"),
    )
    assert first == files[0]
    assert ["images-1-0.png", "images-1-1.png"] == names(folder)
    assert PNG == (folder / "images-1-1.png").read_bytes()
    assert {"/x.php?sig=secret", "/y"} == {asked.path for asked in server.asked}
