"""An exception of a caller's own object ends the request that met it, and nothing else."""

import asyncio
import json
import math
import os
import traceback
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from modelslab_async import (
    ENDPOINTS,
    Batch,
    Client,
    Endpoint,
    InvalidRequest,
    Pace,
    Processing,
    SubmitUncertain,
    Success,
    Unsubmitted,
    UnusableFile,
    webhooks,
)

from .conftest import KEY, REALTIME, finish_at_once

IMG2IMG = "images/img2img"


class Foreign(Exception):
    """An exception that the library does not know."""


class ForeignBase(BaseException):
    """An exception that `except Exception` does not catch."""


def raise_foreign(*_):
    raise Foreign("odd")


def raise_foreign_base(*_):
    raise ForeignBase("odd")


class BrokenPath(os.PathLike):
    def __fspath__(self):
        raise Foreign("odd")


class BrokenFile:
    def read(self, _):
        raise Foreign("odd")


def prompts(count):
    return [(REALTIME, {"prompt": str(number)}) for number in range(count)]


@pytest.mark.parametrize("fail", [raise_foreign, raise_foreign_base])
def test_foreign_error_of_transport_makes_its_submit_uncertain(virtually, service, fail):
    """The error names the exception's type alone, and the next submit is sent."""

    async def main():
        here = service(fail)
        async with here.client() as client:
            with pytest.raises(SubmitUncertain, match="the transport broke: Foreign") as caught:
                await client.submit(REALTIME, prompt="a fox")
            assert "odd" not in repr(caught.value) + str(caught.value.__cause__)
            assert isinstance(await client.generate(REALTIME, prompt="a dog"), Success)

    virtually(main)


def test_foreign_error_of_transport_ends_one_of_many(virtually, service):
    """All other requests of a `generate_many` have their outcomes."""

    async def main():
        here = service(raise_foreign)
        async with here.client() as client:
            outcomes = [outcome async for _, outcome in client.generate_many(prompts(10))]
        (lost,) = (each for each in outcomes if isinstance(each, Unsubmitted))
        assert isinstance(lost.cause, SubmitUncertain)
        assert 9 == sum(isinstance(each, Success) for each in outcomes)

    virtually(main)


@pytest.mark.parametrize("file", [BrokenPath(), BrokenFile()], ids=["path", "open file"])
async def test_foreign_error_of_file_ends_one_of_many(service, file):
    """A file that raises is an `UnusableFile` of its own request."""
    here = service(finish_at_once, finish_at_once, finish_at_once)
    broken = (IMG2IMG, {"prompt": "a fox", "init_image": file})
    async with here.client() as client:
        outcomes = [outcome async for _, outcome in client.generate_many([broken, *prompts(3)])]
    (lost,) = (each for each in outcomes if isinstance(each, Unsubmitted))
    assert isinstance(lost.cause, UnusableFile)
    assert 3 == sum(isinstance(each, Success) for each in outcomes)


def test_foreign_error_of_upload_ends_one_of_many(virtually, service):
    """An upload whose exchange raises ends its own request alone, and nothing is in doubt."""

    class UploadsBreak:
        def __init__(self, inner):
            self.inner = inner

        async def exchange(self, request, /):
            if "base64_string" in json.loads(request.body):
                raise_foreign()
            return await self.inner.exchange(request)

    async def main():
        here = service()
        broken = (IMG2IMG, {"prompt": "a fox", "init_image": b"\x89PNG"})
        async with Client(KEY, http=UploadsBreak(here)) as client:
            outcomes = [outcome async for _, outcome in client.generate_many([broken, *prompts(3)])]
        (lost,) = (each for each in outcomes if isinstance(each, Unsubmitted))
        assert "could not be uploaded: the transport broke: Foreign" in lost.cause.message
        assert "odd" not in repr(lost)
        assert 3 == sum(isinstance(each, Success) for each in outcomes)

    virtually(main)


def test_foreign_error_of_hook_ends_its_submit(virtually, service):
    """What `on_submitted` raises is raised by its own submit; the next one succeeds."""
    errors = [Foreign("the hook broke")]

    async def store(_):
        if errors:
            raise errors.pop()

    async def main():
        here = service()
        async with here.client(on_submitted=store) as client:
            with pytest.raises(Foreign, match="the hook broke"):
                await client.submit(REALTIME, prompt="a fox")
            assert isinstance(await client.generate(REALTIME, prompt="a dog"), Success)

    virtually(main)


class RaisingFirstStep:
    """A pace that raises when a ticket is first polled."""

    limits = Pace()

    def for_family(self, _family):
        return self

    def first_step(self, _eta, _jitter, *, just_submitted=False):  # noqa: ARG002
        raise Foreign(KEY)


def test_foreign_error_of_pace_loses_no_submit(virtually, service, caplog):
    """Each submit returns its ticket, though the tickets that hold the slots cannot be polled."""
    submitted = []

    async def store(event):
        submitted.append(event.ticket)

    async def main():
        here = service()
        async with here.client(queue=2, pace=RaisingFirstStep(), on_submitted=store) as client:
            first = await client.submit(REALTIME, prompt="a fox")
            # From now on, the slot of the first ticket is polled for, while the third submit waits.
            await asyncio.sleep(2.0)
            others = await asyncio.gather(
                client.submit(REALTIME, prompt="a dog"),
                client.submit(REALTIME, prompt="a cat"),
                return_exceptions=True,
            )
        assert [Processing] * 3 == [type(each) for each in (first, *others)]
        assert [each.ticket for each in (first, *others)] == submitted

    virtually(main)
    assert 1 == caplog.text.count("polling realtime:1 raised Foreign in first_step")
    assert KEY not in caplog.text


def test_params_too_deep_for_json_are_refused(virtually, service):
    """Such parameters are a `ValueError`, and nothing is sent."""

    async def main():
        here = service()
        deep = []
        for _ in range(100_000):
            deep = [deep]
        async with here.client() as client:
            with pytest.raises(ValueError, match="what JSON can carry"):
                await client.submit(REALTIME, prompt="a fox", extra=deep)
        assert [] == here.submits

    virtually(main)


class RaisingEndpoint(Endpoint):
    """An endpoint of a caller whose `build_submit` raises."""

    def build_submit(self, params):
        raise Foreign(params["prompt"])


class UnwritableEndpoint(Endpoint):
    """An endpoint of a caller that adds what JSON cannot hold."""

    def build_submit(self, params):
        return evolve(super().build_submit(params), fields={"made": object()})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (RaisingEndpoint, "own/x cannot be built, so nothing was sent: Foreign"),
        (UnwritableEndpoint, "own/x .* nothing was"),
    ],
)
async def test_request_that_cannot_be_built_starts_nothing(service, tmp_path, kind, words):
    """The caller gets the error; no slot, share or record of the submit is left."""
    own = kind(
        name="own/x", url="{base}/x", resolved_by="realtime", required=("prompt",), key_in="body"
    )
    here = service(finish_at_once)
    async with (
        here.client(endpoints={**ENDPOINTS, own.name: own}, queue=1, max_submits=1) as client,
        Batch.open(tmp_path / "a.journal", client=client) as batch,
    ):
        for submit in (client.submit, batch.submit):
            with pytest.raises(InvalidRequest, match=words) as caught:
                await submit(own.name, prompt="a fox", track_id="mine")
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            ours = "".join(shown.format()).split("await submit(own.name")[1]
            assert KEY not in ours
        assert await batch.journal.find_submit("mine") is None
        assert [] == here.submits
        assert isinstance(await client.generate(REALTIME, prompt="a dog"), Success)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"id": {1, 2}}, "request_count are what JSON can carry .*: a set is none"),
        ({"id": math.nan}, "'id' is .* such as finite numbers"),
        ({KEY: math.nan}, r"'\[key\]' is .* such as finite numbers"),
    ],
)
async def test_question_that_cannot_be_built_shows_no_key(service, params, words):
    """`ask` refuses what JSON cannot hold, and no frame of the error shows the API key."""
    here = service()
    name = "general/request_count"
    async with here.client() as client:
        with pytest.raises(ValueError, match=words) as caught:
            await client.ask(name, **params)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = "".join(shown.format()).split("await client.ask(name")[1]
    assert KEY in params or KEY not in ours
    assert KEY not in str(caught.value)
    assert [] == here.submits


async def test_request_that_cannot_be_built_ends_itself_alone(service):
    """The others of one `generate_many` have their results."""
    here = service()
    own = RaisingEndpoint(name="own/x", url="{base}/own/x", resolved_by="images")
    requests = [*prompts(2), (own.name, {"prompt": "a fox"}), *prompts(1)]
    async with here.client(endpoints={**ENDPOINTS, own.name: own}) as client:
        outcomes = [each async for _, each in client.generate_many(requests, window=1)]
    [unsubmitted] = [each for each in outcomes if isinstance(each, Unsubmitted)]
    assert isinstance(unsubmitted.cause, InvalidRequest)
    assert isinstance(unsubmitted.cause.__cause__, Foreign)
    assert 3 == sum(isinstance(each, Success) for each in outcomes)


def scope_of(path):
    return {"type": "http", "method": "POST", "path": path, "query_string": b"\x00=\xff"}


def webhook_path(client):
    """Return the path of a webhook address of this client."""
    return urlsplit(client.webhook_url("https://me.example")).path


async def deliver(app, scope, receive):
    """Call an ASGI application; returns the status codes that it sends."""
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    await app(scope, receive, send)
    return statuses[0]


async def receive_hint():
    return {"type": "http.request", "body": b'{"id": "1"}'}


@pytest.mark.parametrize(
    "path", ["", "/", "/\udc80", "/\x00", "/\ud83d\ude00", "//\udcff/", "/\U0001f600"]
)
async def test_odd_path_is_not_found(service, path):
    """Lone surrogates, NUL and emoji in a path are answered like any unknown address."""
    async with service().client() as client:
        app = webhooks.receiver(client)
        assert 404 == await deliver(app, scope_of(path), receive_hint)


@pytest.mark.parametrize(
    "query", [b"", b"\x00", b"\xff\xfe", "\udc80".encode(errors="surrogatepass")]
)
async def test_odd_query_changes_nothing(service, query):
    """The query of a delivery is not read."""
    async with service().client() as client:
        path = webhook_path(client)
        scope = scope_of(path) | {"query_string": query}
        assert 200 == await deliver(webhooks.receiver(client), scope, receive_hint)
        assert 404 == await deliver(webhooks.receiver(client), scope | {"path": "/x"}, receive_hint)


async def test_foreign_error_while_reading_delivery_ends_that_delivery(service):
    """The server of the application gets the exception, and the next delivery is taken."""
    here = service()
    async with here.client() as client:
        app = webhooks.receiver(client)
        scope = scope_of(webhook_path(client))

        async def broken():
            raise Foreign("the connection broke")

        with pytest.raises(Foreign):
            await deliver(app, scope, broken)
        assert 200 == await deliver(app, scope, receive_hint)
        assert isinstance(await client.generate(REALTIME, prompt="a dog"), Success)
