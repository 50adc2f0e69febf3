"""Immediate results without an id: each has a unique ticket, and none is polled."""

import base64
import json

import httpx
import pytest

from modelslab_async import (
    ENDPOINTS,
    Batch,
    Downloads,
    LinkGone,
    Ticket,
    Unsaved,
    from_dict,
    to_dict,
)
from modelslab_async.emulator import Jobs
from modelslab_async.journal import Journal

from .conftest import REALTIME, finish_at_once, json_response
from .test_every_endpoint import QUEUED, needed

GONE = httpx.MockTransport(lambda _: httpx.Response(410))
# Endpoints for which a result without an id is recorded.
RECORDED = {
    *("enterprise_flux/img2img", "enterprise_flux/text2img", "enterprise_flux_klein/img2img"),
    *("enterprise_three_d/image_to_3d", "enterprise_three_d/text_to_3d"),
}
ANIMALS = ("cat", "dog", "cow")


def picture_of(fields):
    bytes_ = b"\x89PNG\r\n\x1a\n" + str(fields["prompt"]).encode() * 20
    return f"data:image/png;base64,{base64.b64encode(bytes_).decode()}"


def unnamed(service, fields):
    service.start(fields)
    return json_response(status="success", id=None, output=[picture_of(fields)])


# The recorded shapes of results without an id, and one whose id is no id.
SHAPES = {
    "null": {"id": None},
    "none": {},
    "empty": {"id": ""},
    "one of ours": {"id": "no-id:1"},
    "a path": {"id": "../up"},
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "endpoint",
    ["enterprise_flux/text2img", "enterprise_flux_klein/img2img", "enterprise_three_d/text_to_3d"],
)
def test_each_result_has_a_unique_ticket(virtually, service, name, endpoint):
    """Two results of one family have two tickets, and both show that they have no id."""

    async def main():
        answer = json_response(status="success", output=["https://x.example/1"], **SHAPES[name])
        here = service(*[lambda *_: answer] * 2)
        async with here.client() as client:
            params = dict.fromkeys(ENDPOINTS[endpoint].required, "x")
            first, second = [await client.submit(endpoint, **params) for _ in range(2)]
        assert first.ticket != second.ticket
        for each in (first, second):
            assert not each.ticket.has_id
            assert each.ticket == Ticket.parse(str(each.ticket))
            assert each == from_dict(json.loads(json.dumps(to_dict(each))))

    virtually(main)


def test_immediate_results_differ_at_every_endpoint(virtually, world):
    """However an endpoint words its results, two of them have two tickets; some have no id."""

    async def main():
        nameless = set()
        emulated = {"jobs": Jobs(duration=(0.0, 0.0))}
        async with world(emulated=emulated, queue=None) as here:
            for name in QUEUED:
                first, second = [await here.client.submit(name, **needed(name)) for _ in range(2)]
                assert first.ticket != second.ticket
                if not first.ticket.has_id:
                    nameless.add(name)
        assert nameless >= RECORDED

    virtually(main)


def test_same_track_id_does_not_merge_results(virtually, service):
    """Whatever the caller's track_id is, each submit has a ticket of its own."""

    async def main():
        here = service(unnamed, unnamed)
        async with here.client() as client:
            tickets = {
                (await client.submit(REALTIME, prompt=prompt, track_id="mine/../: ")).ticket
                for prompt in ("cat", "dog")
            }
        assert 2 == len(tickets)

    virtually(main)


LOOKS = {
    "fetch": lambda client, ticket: client.fetch(ticket),
    "wait": lambda client, ticket: client.wait(ticket),
    "gather": lambda client, ticket: client.gather(["images:1", ticket]),
    "stream": lambda client, ticket: anext(client.stream([ticket])),
    "watch": lambda client, ticket: anext(client.watch(ticket)),
}


@pytest.mark.parametrize("how", LOOKS)
def test_ticket_without_id_is_not_polled(virtually, service, how):
    """The error says that the service gave no id, and nothing is sent."""

    async def main():
        here = service(unnamed)
        async with here.client() as client:
            ticket = (await client.submit(REALTIME, prompt="cat")).ticket
            for form in (ticket, str(ticket)):
                with pytest.raises(ValueError, match=f"{ticket} .*the service gave no id"):
                    await LOOKS[how](client, form)
        assert 0 == here.polls

    virtually(main)


async def test_batch_returns_recorded_result_for_same_track_id(service, tmp_path):
    """Three results are three tickets in the journal; the same track_id gets the same result."""
    here, path = service(unnamed, unnamed, unnamed, finish_at_once), tmp_path / "pets.journal"
    async with here.client() as client:
        async with Batch.open(path, client=client) as batch:
            given = {
                name: await batch.submit(REALTIME, prompt=name, track_id=name) for name in ANIMALS
            }
            assert list(given.values()) == [each async for each in batch.outcomes()]
            report = await batch.report()
            assert (3, 3) == (report.tickets, report.success)
        async with Batch.open(path, client=client) as batch:
            for name in ANIMALS:
                assert given[name] == await batch.submit(REALTIME, prompt=name, track_id=name)
            assert [] == [each async for each in batch.run()]
            with pytest.raises(ValueError, match="the service gave no id"):
                await batch.add([given["cat"].ticket])
            assert 3 == await batch.export(tmp_path / "pets.csv")
    assert 3 == len(here.submits)
    rows = (tmp_path / "pets.csv").read_text().splitlines()[1:]
    assert [str(each.ticket) for each in given.values()] == [row.split(",")[0] for row in rows]


async def test_journal_refuses_ticket_without_id(tmp_path):
    """Such a ticket can never end, so it would stay open."""
    ticket = Ticket.without_id("realtime", "1")
    async with Journal.open(tmp_path / "pets.journal") as journal:
        with pytest.raises(ValueError, match="the service gave no id"):
            await journal.add(["realtime:1", ticket])
        await journal.record_submit("7", endpoint=REALTIME, payload_hash="0" * 64)
        with pytest.raises(ValueError, match="the service gave no id"):
            await journal.confirm("7", ticket)
        assert 0 == (await journal.report()).tickets


async def test_files_of_results_without_id_have_own_names(service, tmp_path):
    """Each result becomes a file of its own name, with its own bytes."""
    here, wanted = service(unnamed, unnamed, unnamed), {}
    async with (
        here.client() as client,
        Downloads(client, to=tmp_path, allow_private=True) as downloads,
    ):
        for name in ANIMALS:
            success = await client.generate(REALTIME, prompt=name)
            (file,) = await downloads.save(success)
            wanted[file.path] = name
    assert 3 == len(wanted)
    for path, name in wanted.items():
        assert name.encode() in path.read_bytes()
        assert path.name.startswith("realtime-no_id_")


async def test_expired_link_of_result_without_id_is_not_renewed(service, tmp_path):
    """The error of the file says why there is no other link; nothing is polled."""
    here = service(lambda *_: json_response(status="success", output=["http://127.0.0.1:9/1.png"]))
    async with (
        here.client() as client,
        Downloads(
            client, to=tmp_path, allow_private=True, http=GONE, link_timeout=0.0
        ) as downloads,
    ):
        success = await client.generate(REALTIME, prompt="cat")
        with pytest.raises(LinkGone, match="the service gave no id"):
            await downloads.save(success)
        (save_result,) = [each async for each in downloads.stream([success])]
        assert isinstance(save_result, Unsaved)
    assert 0 == here.polls
