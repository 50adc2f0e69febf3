"""The DEBUG lines of requests: what they show, and what they never show."""

import logging

import httpx
import pytest

from modelslab_async import Client, Downloads, Success, Ticket, TransportError

KEY = "canary-key-Zq81/x"
RUNNING = {"status": "processing", "message": "try again later.", "output": ""}


def lines_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]


def answering(response):
    return httpx.MockTransport(lambda _request: response)


async def test_request_is_one_debug_line(caplog):
    """The line has method, host, path, status and milliseconds."""
    caplog.set_level(logging.DEBUG, "modelslab_async")
    async with Client(KEY, http=answering(httpx.Response(200, json=RUNNING))) as client:
        await client.fetch("realtime:1")
    [line] = lines_of(caplog)
    start, _, milliseconds = line.partition(" in ")
    assert "POST https://modelslab.com/api/v6/realtime/fetch/1: 200" == start
    assert milliseconds.endswith(" ms")


async def test_key_in_query_and_path_is_not_logged(caplog):
    """A query is left out, and a key in the base URL is masked."""
    caplog.set_level(logging.DEBUG, "modelslab_async")
    http = answering(httpx.Response(200, json=RUNNING))
    base_url = "https://gateway.example/akeyinapath/api"
    async with Client("akeyinapath", base_url=base_url, http=http) as here:
        await here.fetch("controlnet_v5:1")
        await here.fetch("realtime:1")
    assert 2 == len(lines_of(caplog))
    assert "https://gateway.example/[key]/api/v6/realtime/fetch/1" in caplog.text
    assert "akeyinapath" not in caplog.text
    assert "?" not in caplog.text


async def test_failed_request_is_logged_by_the_type_of_its_error(caplog):
    """A request without a response has the name of its error in place of a status."""

    def fail(_request):
        raise httpx.ConnectError(f"refused {KEY}")

    caplog.set_level(logging.DEBUG, "modelslab_async")
    async with Client(KEY, http=httpx.MockTransport(fail)) as client:
        with pytest.raises(TransportError):
            await client.fetch("realtime:1")
    [line] = lines_of(caplog)
    assert "POST https://modelslab.com/api/v6/realtime/fetch/1: TransportError in" in line
    assert KEY not in caplog.text


async def test_nothing_is_logged_above_debug(caplog):
    """At the level INFO, requests make no line."""
    caplog.set_level(logging.INFO, "modelslab_async")
    async with Client(KEY, http=answering(httpx.Response(200, json=RUNNING))) as client:
        await client.fetch("realtime:1")
    assert [] == caplog.records


async def test_download_is_logged_without_its_signature(caplog, tmp_path):
    """Each request of a download is a line, a redirect too, and no query is shown."""

    def serve(request):
        if request.url.path == "/moved.png":
            return httpx.Response(200, content=b"\x89PNG\r\n\x1a\n" + b"x" * 8)
        return httpx.Response(302, headers={"location": "/moved.png?signature=secret"})

    caplog.set_level(logging.DEBUG, "modelslab_async")
    success = Success(
        ticket=Ticket("images", 1), output=("https://files.example/1.png?signature=secret",)
    )
    async with Downloads(to=tmp_path, http=httpx.MockTransport(serve)) as downloads:
        await downloads.save(success)
    first, second = lines_of(caplog)
    assert "GET https://files.example/1.png: 302" in first
    assert "GET https://files.example/moved.png: 200" in second
    assert "secret" not in caplog.text
