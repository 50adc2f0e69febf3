"""
The parts that read what a stranger wrote, each as a function of bytes.

A target returns for bytes that it accepts, and for bytes that it refuses with the documented
error. Any other exception is a finding. Targets open no connection.
"""

import contextlib
import json
import tempfile
from pathlib import Path

import click
import httpx

from modelslab_async import (
    FAMILIES,
    JournalDamaged,
    LinkRefused,
    ModelsLabError,
    Ticket,
    from_dict,
    read_reply,
    to_dict,
)
from modelslab_async._cli.batch.ticket_input import read_tickets
from modelslab_async._downloads.http_get import _parse_url
from modelslab_async._downloads.inline_data import inline_bytes
from modelslab_async._downloads.part_metadata import read_metadata
from modelslab_async._journal.row_codec import decode, encode
from modelslab_async._parsing.retry_after import retry_after
from modelslab_async._parsing.submit_reply import read_submit_reply
from modelslab_async._parsing.webhook_ids import read_webhook
from modelslab_async._tables.ticket_columns import InputSpec
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.http11.codec import UnreadableError
from modelslab_async._transport.http11.h11_codec import H11Codec
from modelslab_async._transport.http11.httptools_codec import HttptoolsCodec
from modelslab_async._transport.transport_protocol import Request

STATUS_CODES = (200, 200, 200, 201, 301, 400, 401, 403, 404, 422, 429, 500, 503)
# One family for each way to read a status.
FAMILY_NAMES = sorted({family.status: name for name, family in FAMILIES.items()}.values())
REQUEST = Request(method="POST", url="https://modelslab.com/api/v6/images/fetch", body=b"{}")
CREDENTIALS = Credentials.resolve("a-key-for-the-fuzzer", None)
MAX_WAIT_S = 300.0


def _split(data):
    """The first byte chooses a case, the rest is the input."""
    return (data[0] if data else 0), data[1:]


def poll_reply(data):
    choice, body = _split(data)
    ticket = Ticket(FAMILY_NAMES[choice % len(FAMILY_NAMES)], 1)
    status_code = STATUS_CODES[choice % len(STATUS_CODES)]
    try:
        reply = read_reply(ticket, status_code=status_code, body=body)
    except ModelsLabError:
        return
    assert ticket == reply.ticket
    assert reply == from_dict(json.loads(json.dumps(to_dict(reply))))


def submit_reply(data):
    choice, body = _split(data)
    with contextlib.suppress(ModelsLabError):
        read_submit_reply(
            FAMILIES[FAMILY_NAMES[choice % len(FAMILY_NAMES)]],
            {"track_id": 1},
            status_code=STATUS_CODES[choice % len(STATUS_CODES)],
            body=body,
            families=FAMILIES,
            local_id="local",
        )


def headers(data):
    text = data.decode("latin-1")
    first, _, second = text.partition("\n")
    found = retry_after(
        {"message": second},
        {"retry-after": first, "date": second, "x-ratelimit-reset": first},
        1.8e9,
    )
    assert found is None or 0 <= found <= MAX_WAIT_S


def webhook(data):
    hint = read_webhook(data)
    assert hint is None or all(isinstance(id_, str) for id_ in hint.ids)


def link(data):
    choice, rest = _split(data)
    text = rest.decode("utf-8", "surrogateescape" if choice % 2 else "replace")
    base = httpx.URL("https://example.com/a") if choice % 3 else None
    try:
        url = _parse_url(text, "https://example.com/a", base)
    except LinkRefused:
        return
    assert isinstance(url.host, str)


def inline(data):
    inline_bytes(data.decode("utf-8", "replace"), ("image", "audio", "text"))


def journal_row(data):
    choice, rest = _split(data)
    body, _, extra = rest.decode("utf-8", "replace").partition("\0")
    ticket = Ticket("images", 1)
    try:
        value = decode(ticket, (choice % 6, body or None, extra or None))
    except JournalDamaged:
        return
    encode(value)


def part_metadata(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.part.json"
        path.write_bytes(data)
        read_metadata(path)


def ids(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ids"
        path.write_bytes(data)
        try:
            for new in read_tickets(str(path), InputSpec(family="images"), CREDENTIALS, str):
                assert isinstance(new.ticket, Ticket)
                assert not new.columns or isinstance(json.loads(new.columns), dict)
        except click.UsageError:
            pass


def _codec(codec, data):
    choice, rest = _split(data)
    codec.encode(REQUEST, "modelslab.com")
    step = 1 + choice
    try:
        for start in range(0, len(rest), step):
            if codec.feed(rest[start : start + step]) is not None:
                codec.prepare_next()
                return
        codec.feed(b"")
    except UnreadableError:
        pass


def http_over_h11(data):
    _codec(H11Codec(), data)


def http_over_httptools(data):
    _codec(HttptoolsCodec(), data)


TARGETS = {
    target.__name__: target
    for target in (
        poll_reply,
        submit_reply,
        headers,
        webhook,
        link,
        inline,
        journal_row,
        part_metadata,
        ids,
        http_over_h11,
        http_over_httptools,
    )
}
SEEDS = {
    "poll_reply": [
        b'\0{"status":"processing","id":1,"eta":10.5,"fetch_result":"https://a/b"}',
        b'\1{"status":"success","output":["https://a/b.png"],"nsfw_content_detected":false}',
        b'\2{"status":"failed","messege":{"width":["must be a number"]}}',
        b'\3{"training_status":"deploying","logs":"","meta":{"a":[{}]}}',
        b'\4{"state":"completed","outputs":[{"url":"https://a/b"}]}',
        b"\5<!DOCTYPE html><html>",
    ],
    "submit_reply": [
        b'\0{"status":"processing","id":1,"eta":10,"fetch_result":"https://modelslab.com/api/v6/images/fetch/1"}',
        b'\1{"status":"error","message":"Rate limit exceeded, retry after 3 seconds"}',
        b'\2{"status":"success","output":["https://a/b"],"meta":{"track_id":"9"}}',
    ],
    "headers": [
        b"120\nWed, 21 Oct 2026 07:28:00 GMT",
        b"Wed, 21 Oct 2026 07:28:00 GMT\n",
        b"1800000000\ntry again in 3 minutes",
    ],
    "webhook": [
        b'{"status":"success","id":7,"track_id":"5","output":[]}',
        b'{"event":"workflow.completed","data":{"execution_id":"a","track_id":1}}',
    ],
    "link": [
        b"\0https://xn--a/b.png",
        b"\1https://[::1]:99999/",
        b"\2//user:pw@host/\xf0\x9f\x98\x80?q#f",
        b"\3https://xn--ls8h:",
    ],
    "inline": [b"data:image/png;base64,iVBORw0KGgo=", b"aGVsbG8gd29ybGQ=", b"data:,%68i"],
    "journal_row": [
        b'\0{"status":"processing","eta":1}\0{"eta":2}',
        b'\1{"status":"success","output":["https://a"]}',
        b'\3\0{"last":null,"cause":{"kind":"WaitTimeout","message":"x"}}',
    ],
    "part_metadata": [b'{"url":"https://a","validator":"e","size":3,"sha256":null}', b"[" * 2000],
    "ids": [
        b"images:1\n2\n# a comment\n",
        b'id,family\n1,images\n"2\n3",video\n',
        b'[{"id": 1}, {"ticket": "images:2"}]',
        b'{"id": 1}\n{"id": "2"}\n',
    ],
    "http_over_h11": [
        b"\x07HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"\xffHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\x10HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"\x10HTTP/1.0 200 OK\r\n\r\nuntil the end",
    ],
}
SEEDS["http_over_httptools"] = SEEDS["http_over_h11"]
