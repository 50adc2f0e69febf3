"""Files among the parameters: read, checked, uploaded first, and replaced by links."""

import asyncio
import base64
import io
import json
import time
from pathlib import Path
from traceback import format_exception

import pytest

from modelslab_async import (
    ENDPOINTS,
    AuthenticationError,
    Batch,
    Client,
    ClientClosed,
    HandshakeFailed,
    InvalidRequest,
    Pace,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    Response,
    ServerError,
    Submission,
    SubmitFailed,
    SubmitUncertain,
    Success,
    TransportError,
    UnreadableReply,
    Unsubmitted,
    UntrustedServer,
    UnusableFile,
)

from .conftest import (
    KEY,
    QUICK,
    Service,
    accept,
    connection_lost,
    json_response,
    never_left,
    queue_full,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20
LINK = "https://x.example/upload.png"
IMG2IMG = "realtime/img2img"


def uploaded(service, fields):
    service.uploads.append(fields["base64_string"])
    return json_response(status="success", output=[LINK])


@pytest.fixture
def here():
    service = Service(uploaded, accept)
    service.uploads = []
    return service


@pytest.mark.parametrize("form", ["bytes", "bytearray", "path", "file", "list"])
async def test_file_becomes_a_link(here, tmp_path, form):
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


async def test_text_is_no_file(service):
    """A text is sent as it is, even if a file has that name."""
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
async def test_unusable_file_is_refused_before_anything_is_sent(here, given, words):
    """Too long, empty, or opened as text: nothing leaves."""
    async with here.client() as client:
        with pytest.raises(UnusableFile, match=f"init_image.*{words}"):
            await client.submit(IMG2IMG, prompt="winter", init_image=given)

    assert [] == here.submits


class Odd:
    """A file whose read returns or raises something odd."""

    def __init__(self, given):
        self.given = given

    def read(self, _size):
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.mark.parametrize("given", ["missing", "folder", "broken", "foreign", "closed", "nothing"])
async def test_unreadable_file_is_refused(here, tmp_path, given):
    """The error names the parameter, says why, and nothing leaves."""
    shut = (tmp_path / "shut.png").open("wb+")
    shut.close()
    file, words = {
        "missing": (tmp_path / "nothing.png", r"FileNotFoundError.*nothing\.png"),
        "folder": (tmp_path, "IsADirectoryError"),
        "broken": (Odd(OSError("bad sector")), "bad sector"),
        "foreign": (Odd(ZeroDivisionError("odd")), "ZeroDivisionError: odd"),
        "closed": (shut, "closed file"),
        "nothing": (Odd(None), "NoneType instead of bytes"),
    }[given]
    async with here.client() as client:
        with pytest.raises(UnusableFile, match=f"init_image.*{words}.*nothing was") as caught:
            await client.submit(IMG2IMG, prompt="w", init_image=file)

    assert "init_image" == caught.value.parameter
    assert [] == here.submits


async def test_path_that_is_the_key_is_named_without_it(here):
    """Neither the error nor its cause shows the key."""
    async with here.client() as client:
        with pytest.raises(UnusableFile, match=r"FileNotFoundError.*\[key\]") as caught:
            await client.submit(IMG2IMG, prompt="w", init_image=Path(KEY))
    assert KEY not in "".join(format_exception(caught.value))
    assert [] == here.submits


async def test_unreadable_file_ends_its_own_request(here, tmp_path):
    """Among many, a request with a missing, empty or too long file has no ticket; the others do."""
    here.steps = []
    bad = {3: tmp_path / "nothing.png", 5: b"", 7: b"x" * 5_000_001, 9: io.StringIO("text")}
    requests = [
        (IMG2IMG, {"prompt": str(number), "init_image": bad.get(number, "https://x.example/a")})
        for number in range(40)
    ]
    async with here.client() as client:
        outcomes = {
            int(params["prompt"]): outcome
            async for (_, params), outcome in client.generate_many(requests)
        }
    assert set(range(40)) == set(outcomes)
    for number, outcome in outcomes.items():
        if number in bad:
            assert isinstance(outcome, Unsubmitted)
            assert isinstance(outcome.cause, UnusableFile)
        else:
            assert isinstance(outcome, Success)
    assert 36 == here.starts.total()


@pytest.mark.parametrize("change", ["other", "gone", "empty"])
async def test_file_that_changes_while_its_request_waits_is_not_sent(here, tmp_path, change):
    """What is sent is what was asked for, or nothing; and the slot is free again."""
    path = tmp_path / "house.png"
    path.write_bytes(PNG)
    async with here.client(queue=1) as client:
        submit_request = await client.engine.prepare(
            Submission(IMG2IMG, {"prompt": "winter", "init_image": path})
        )
        match change:
            case "other":
                path.write_bytes(PNG + b"!")
            case "gone":
                path.unlink()
            case "empty":
                path.write_bytes(b"")
        with pytest.raises(UnusableFile, match="init_image"):
            await client.engine.submitter.submit(submit_request)
        assert [] == here.submits
        await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
    assert 1 == here.starts.total()


async def test_path_of_file_that_vanishes_before_its_upload_is_named_without_the_key(
    here, tmp_path
):
    """Neither the error, its cause nor the event shows the key, which is a folder of the path."""
    path = tmp_path / KEY / "house.png"
    path.parent.mkdir()
    path.write_bytes(PNG)
    events = []
    async with here.client(queue=1, on_event=events.append) as client:
        submit_request = await client.engine.prepare(
            Submission(IMG2IMG, {"prompt": "winter", "init_image": path})
        )
        path.unlink()
        with pytest.raises(UnusableFile, match=r"FileNotFoundError.*\[key\]") as caught:
            await client.engine.submitter.submit(submit_request)
    assert KEY not in "".join(format_exception(caught.value))
    [failed] = [event for event in events if isinstance(event, SubmitFailed)]
    assert "[key]" in str(failed.error)
    assert KEY not in f"{events!r} {failed.error}"
    assert [] == here.submits


TEXTS = [
    ("realtime/text2img", "prompt"),
    ("realtime/img2img", "negative_prompt"),
    ("realtime/img2img", "track_id"),
    ("three_d/image_to_3d", "multi_image"),
    ("v7_video_fusion/text-to-video", "generate_audio"),
    ("workflows/run", "prompt"),
    ("workflows/run", "workflow_id"),
]


@pytest.mark.parametrize("form", ["bytes", "path", "file", "list"])
@pytest.mark.parametrize(("endpoint", "name"), TEXTS)
async def test_file_for_text_parameter_is_refused(here, tmp_path, endpoint, name, form):
    """Bytes in the place of a text are a mistake, refused before anything is read or sent."""
    file = {
        "bytes": b"a lighthouse",
        "path": tmp_path / "a.txt",
        "file": io.BytesIO(b"a lighthouse"),
        "list": ["a", b"b"],
    }[form]
    row = ENDPOINTS[endpoint]
    params = dict.fromkeys((*row.required, *(group[0] for group in row.any_of)), "x")
    async with here.client() as client:
        with pytest.raises(ValueError, match=f"takes no file for '{name}'"):
            await client.submit(endpoint, **{**params, name: file})
        with pytest.raises(ValueError, match=f"takes no file for '{name}'"):
            await anext(client.generate_many([(endpoint, {**params, name: file})]))

    assert [] == here.submits


LINKS = [
    ("enterprise_text_to_image/super_resolution", {"url": PNG}),
    ("training/lora_fine_tune", {"images": [PNG, PNG + b"!"]}),
    ("voice/speech_to_text", {"audio_url": PNG}),
    ("workflows/run", {"portrait": PNG}),
    ("realtime/img2img", {"init_image_3": PNG}),
]


@pytest.mark.parametrize(("endpoint", "files"), LINKS, ids=[each[0] for each in LINKS])
async def test_file_is_accepted_where_a_link_is_wanted(here, endpoint, files):
    """Whatever its parameter is called, and also where the caller names the parameters."""
    row = ENDPOINTS[endpoint]
    params = {**dict.fromkeys(row.required, "x"), **files, "track_id": 1}
    (given,) = files.values()
    here.steps = [*[uploaded] * len([*([given] if isinstance(given, bytes) else given)]), accept]
    async with here.client() as client:
        await client.submit(endpoint, **params)
    (name,) = files
    assert LINK in here.submits[-1][name]


async def test_file_needs_standard_key(here):
    """Uploads have no enterprise form: the error says that the file is the reason."""
    name = "enterprise_realtime/img2img"
    async with Client(enterprise_key="an-enterprise-key", http=here) as client:
        with pytest.raises(ValueError, match=r"the file for 'init_image'.*standard key.*a link"):
            await client.submit(name, prompt="winter", init_image=PNG)
        assert [] == here.submits
        here.steps = [accept]
        await client.submit(name, prompt="winter", init_image=LINK)


async def test_upload_without_a_link_starts_nothing(here):
    """A reply that names no link is an error, and no work was started."""
    here.steps[0] = lambda *_: json_response(status="success")

    async with here.client() as client:
        with pytest.raises(UnreadableReply, match="no link"):
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)

    assert not here.starts


async def test_hash_covers_file_and_not_its_link(here):
    """The same file under another link is the same payload; another file is another."""
    links = iter("abc")

    def linked(_service, _fields):
        return json_response(status="success", output=[f"https://x.example/{next(links)}.png"])

    here.steps = [linked, connection_lost, linked, connection_lost, linked, connection_lost]
    hashes = []

    async with here.client() as client:
        for data in (PNG, PNG, PNG + b"!"):
            with pytest.raises(SubmitUncertain) as caught:
                await client.submit(IMG2IMG, prompt="winter", init_image=data)
            hashes.append(caught.value.payload_hash)

    assert hashes[0] == hashes[1] != hashes[2]
    assert "x.example" in json.dumps(here.submits[1])


class Site(Service):
    """Takes uploads apart from submits: the steps are those of the uploads."""

    def __init__(self, *steps):
        super().__init__()
        self.on_upload = list(steps)
        self.asked = []
        self.most = self.flying = 0

    async def exchange(self, request, /):
        if not request.url.endswith("/base64_to_url"):
            self.asked.append(request.url.rpartition("/")[2])
            return await super().exchange(request)
        self.asked.append("upload")
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(0.05)
        self.flying -= 1
        step = self.on_upload.pop(0) if self.on_upload else None
        return step() if step else json_response(status="success", output=[LINK])

    @property
    def uploads(self):
        return self.asked.count("upload")


def answered(*args, **more):
    return lambda: json_response(*args, **more)


def raised(error):
    def step():
        raise error

    return step


PASSING = {
    "429": answered(429, status="error", message="Too many requests", retry_after=2),
    "429 without a time": answered(429, status="error", message="Too many requests"),
    "429 in a 200": answered(200, status="error", message="Rate limit exceeded"),
    "full": queue_full,
    "500": answered(500, message="Server Error"),
    "502 as a page": lambda: Response(status_code=502, body=b"<html>"),
    "503 with a time": answered(503, {"retry-after": "7"}, message="busy"),
    "never left": never_left,
    "lost": connection_lost,
    "the system's own": raised(OSError("reset")),
    "foreign": raised(RuntimeError("a transport of the caller")),
    "cancelled within": raised(asyncio.CancelledError("within")),
}


@pytest.mark.parametrize("name", PASSING)
def test_failed_upload_is_tried_again(virtually, name):
    """It costs nothing: the file is uploaded later, and the submit follows it once."""

    async def main():
        here = Site(PASSING[name], PASSING[name])
        async with here.client() as client:
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
            assert asyncio.get_running_loop().time() > 1.0
        assert ["upload", "upload", "upload", "img2img"] == here.asked
        assert LINK == here.submits[0]["init_image"]
        assert 1 == here.starts.total()

    virtually(main)


def test_upload_waits_as_long_as_server_says(virtually):
    """After a 503 that names a time, the client does not ask sooner."""

    async def main():
        here = Site(PASSING["503 with a time"])
        async with here.client(pace=QUICK) as client:
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
            assert 7.0 <= asyncio.get_running_loop().time() < 8.0

    virtually(main)


FINAL = {"429": RateLimited, "500": ServerError, "never left": TransportError} | dict.fromkeys(
    ("lost", "the system's own", "foreign", "cancelled within"), TransportError
)


@pytest.mark.parametrize("name", FINAL)
def test_upload_that_never_succeeds_is_given_up(virtually, name):
    """After the pace's budget the error says that it was the file, and that nothing was started."""

    async def main():
        here = Site(*[PASSING[name]] * 9)
        async with here.client(pace=Pace(max_failures=3), queue=1) as client:
            with pytest.raises(FINAL[name], match=r"file for init_image.*nothing was") as caught:
                await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
            assert ["upload"] * 3 == here.asked
            here.on_upload = []
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
        assert not getattr(caught.value, "may_have_been_sent", False)
        assert 1 == here.starts.total()

    virtually(main)


REFUSED = {
    "401": (answered(401, status="error", message="Invalid API key."), AuthenticationError),
    "402": (answered(402, status="error", message="Insufficient credits."), PaymentRequired),
    "403": (answered(403, status="error", message="not in your plan"), PermissionDenied),
    "400": (answered(400, status="error", message="no image"), InvalidRequest),
    "no link": (answered(status="success"), UnreadableReply),
    "a page": (lambda: Response(status_code=200, body=b"<html>"), UnreadableReply),
    "certificate": (raised(UntrustedServer("expired")), UntrustedServer),
    "TLS": (raised(HandshakeFailed("no certificate", may_have_been_sent=True)), HandshakeFailed),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_upload_is_not_tried_again(virtually, name):
    """What a retry cannot change ends the request at once, and frees its slot."""
    step, kind = REFUSED[name]

    async def main():
        here = Site(step)
        async with here.client(queue=1) as client:
            with pytest.raises(kind, match=r"file for init_image.*nothing was started") as caught:
                await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
            assert ["upload"] == here.asked
            assert not getattr(caught.value, "may_have_been_sent", False)
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)

    virtually(main)


@pytest.mark.parametrize("code", [401, 402])
def test_refused_key_costs_one_upload(virtually, code):
    """However many files wait. Only the request of that file is told of a file."""

    async def main():
        here = Site(*[answered(code, status="error", message="no")] * 500)
        async with here.client() as client:
            requests = [(IMG2IMG, {"prompt": str(n), "init_image": PNG}) for n in range(500)]
            outcomes = [outcome async for _, outcome in client.generate_many(requests)]
        assert ["upload"] == here.asked
        assert 500 == len(outcomes)
        assert 1 == sum("file" in str(outcome.cause) for outcome in outcomes)

    virtually(main)


def test_refused_key_ends_nothing_of_another_key(virtually):
    """Uploads use the standard key, so enterprise work without a file goes on."""

    async def main():
        here = Site(answered(401, status="error", message="no"))
        name = "enterprise_realtime/img2img"
        async with here.client(enterprise_key="an-enterprise-key", queue=1) as client:
            outcomes = await asyncio.gather(
                client.submit(name, prompt="winter", init_image=PNG),
                client.submit(name, prompt="summer", init_image=LINK),
                return_exceptions=True,
            )
        assert [AuthenticationError, Processing] == [*map(type, outcomes)]

    virtually(main)


def test_refused_upload_key_ends_only_requests_with_files(virtually):
    """The client uploads no second file, and sends the enterprise work that has none."""
    name = "enterprise_realtime/img2img"

    async def main():
        here = Site(*[answered(401, status="error", message="no")] * 3)
        images = [PNG, LINK, PNG, LINK]
        requests = [(name, {"prompt": "winter", "init_image": image}) for image in images]
        async with here.client(enterprise_key="an-enterprise-key") as client:
            outcomes = [outcome async for _, outcome in client.generate_many(requests, window=1)]
        assert [Unsubmitted, Success, Unsubmitted, Success] == [*map(type, outcomes)]
        assert 1 == here.uploads
        assert 2 == here.starts.total()

    virtually(main)


async def test_refused_key_costs_one_upload_of_files_on_disk(tmp_path):
    """Also while the files of the others are still being read."""
    paths = [tmp_path / f"{number}.png" for number in range(200)]
    for number, path in enumerate(paths):
        path.write_bytes(PNG + bytes([number]) * (1000 * number))
    here = Site(*[answered(401, status="error", message="no")] * 200)
    began = time.monotonic()
    async with here.client() as client:
        requests = [(IMG2IMG, {"prompt": "w", "init_image": path}) for path in paths]
        outcomes = [outcome async for _, outcome in client.generate_many(requests, window=200)]
    # One more goes for each second without a reply.
    assert here.uploads <= 1 + int(time.monotonic() - began)
    assert 200 == len(outcomes)


def test_file_is_uploaded_when_its_request_has_a_slot(virtually):
    """No sooner: so its link is fresh, and no more files are in memory than there are slots."""

    async def main():
        here = Site()
        async with here.client(queue=3) as client:
            requests = [(IMG2IMG, {"prompt": str(n), "init_image": PNG}) for n in range(30)]
            async for _ in client.generate_many(requests, window=30):
                assert here.uploads <= here.asked.count("img2img") + 3
        assert 30 == here.uploads == here.starts.total()
        assert 1 < here.most <= 3

    virtually(main)


def test_file_is_sent_once_for_a_retried_submit(virtually):
    """After a full queue, or a connection that was never made, the link is still good."""

    async def main():
        here = Site()
        here.steps = [queue_full, never_left, accept]
        async with here.client() as client:
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
        assert ["upload", "img2img", "img2img", "img2img"] == here.asked
        assert {LINK} == {fields["init_image"] for fields in here.submits}

    virtually(main)


def test_several_files_are_each_sent_once(virtually):
    """An uploaded file stays uploaded when another one fails, and the same file twice is one."""

    async def main():
        links = iter("abc")

        def linked():
            return json_response(status="success", output=[f"https://x.example/{next(links)}"])

        here = Site(linked, PASSING["500"], linked)
        async with here.client() as client:
            await client.submit(
                "realtime/inpaint",
                prompt="winter",
                init_image=PNG,
                mask_image=PNG + b"!",
                ip_adapter_image=[PNG, "https://x.example/own"],
            )
        assert ["upload", "upload", "upload", "inpaint"] == here.asked
        (fields,) = here.submits
        assert ["https://x.example/a", "https://x.example/b"] == [
            fields["init_image"],
            fields["mask_image"],
        ]
        assert ["https://x.example/a", "https://x.example/own"] == fields["ip_adapter_image"]

    virtually(main)


def test_caller_cancelled_during_upload_frees_slot(virtually):
    """Nothing is submitted for a cancelled caller, and the next request has the slot at once."""

    async def main():
        here = Site()
        async with here.client(queue=1) as client:
            submit = client.submit(IMG2IMG, prompt="winter", init_image=PNG)
            submitting = asyncio.create_task(submit)
            await asyncio.sleep(0.01)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting
            assert ["upload"] == here.asked
            await client.submit(IMG2IMG, prompt="summer", init_image=PNG)
            assert asyncio.get_running_loop().time() < 1.0
        assert ["summer"] == [fields["prompt"] for fields in here.submits]

    virtually(main)


def test_upload_has_timeout_of_submit(virtually):
    """Five megabytes take longer than a poll."""

    async def main():
        here = Site()
        exchange = here.exchange

        async def slowly(request):
            await asyncio.sleep(40.0)
            return await exchange(request)

        here.exchange = slowly
        async with here.client(timeout=30.0, submit_timeout=60.0) as client:
            await client.submit(IMG2IMG, prompt="winter", init_image=PNG)
        assert ["upload", "img2img"] == here.asked

    virtually(main)


def test_close_between_two_uploads_sends_no_other(virtually):
    """A request that pauses before a retry ends: nothing was started."""

    async def main():
        here = Site(*[PASSING["503 with a time"]] * 9)
        client = here.client()
        submit = client.submit(IMG2IMG, prompt="winter", init_image=PNG)
        submitting = asyncio.create_task(submit)
        await asyncio.sleep(0.1)
        await client.aclose()
        with pytest.raises(ClientClosed, match="nothing was started"):
            await submitting
        assert asyncio.get_running_loop().time() == pytest.approx(0.1)
        assert ["upload"] == here.asked

    virtually(main)


async def test_batch_records_submit_after_its_uploads(tmp_path):
    """A refused file leaves no uncertain submit in the journal, and the program may go on."""
    here = Site(answered(400, status="error", message="no image"))
    path = tmp_path / "a.journal"
    async with here.client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(InvalidRequest, match="file for init_image"):
            await batch.submit(IMG2IMG, prompt="winter", init_image=PNG, track_id=1)
        assert await batch.journal.find_submit("1") is None
        begun = await batch.submit(IMG2IMG, prompt="winter", init_image=PNG, track_id=1)
        again = await batch.submit(IMG2IMG, prompt="winter", init_image=PNG, track_id=1)
    assert begun.ticket == again.ticket
    assert ["upload", "upload", "img2img"] == here.asked


async def test_waiting_files_take_no_memory(tmp_path):
    """Of a file on the disk only its path is kept, until there is a slot."""
    path = tmp_path / "house.png"
    path.write_bytes(PNG + bytes(4_900_000))
    here = Site()
    async with here.client(queue=1) as client:
        submit_requests = [
            await client.engine.prepare(
                Submission(IMG2IMG, {"prompt": str(number), "init_image": path})
            )
            for number in range(10)
        ]
        (upload,) = {submit_request.params["init_image"] for submit_request in submit_requests}
        assert path == upload.source
