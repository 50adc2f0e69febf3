"""Code as users write it, for type checkers alone. It is never run."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal, assert_never, assert_type

import httpx
import httpx2
from distributed import Client as DaskClient

from modelslab_async import (
    ENDPOINTS,
    FAMILIES,
    AdaptivePace,
    Batch,
    Call,
    Client,
    Completed,
    Downloaded,
    DownloadFailed,
    DownloadResumed,
    Downloads,
    DownloadStarted,
    Endpoint,
    Event,
    Failed,
    Family,
    HTTPTransport,
    LoadedFile,
    Outcome,
    Pace,
    Paused,
    Polled,
    PollFailed,
    Processing,
    Reply,
    Report,
    Request,
    Response,
    Saved,
    SavedFile,
    SaveResult,
    SlotAwaited,
    Submission,
    SubmitFailed,
    SubmitRetried,
    SubmitSent,
    Submitted,
    SubmitUncertain,
    SubmitUnconfirmed,
    Success,
    Ticket,
    Transport,
    Unresolved,
    Unsaved,
    Unsubmitted,
    Uploaded,
    Verified,
    download,
    from_dict,
    otel,
    read_reply,
    to_dict,
    verify,
    webhooks,
)
from modelslab_async.dask import FetchReport
from modelslab_async.dask import fetch as fetch_on_dask
from modelslab_async.requests import realtime, voice


async def one(client: Client) -> tuple[str, ...]:
    reply = await client.fetch("images:1")
    assert_type(reply, Processing | Success | Failed)
    success = await client.wait(("images", 1), timeout=60)
    assert_type(success, Success)
    return success.output


async def many(client: Client, tickets: AsyncIterator[str]) -> None:
    outcomes = await client.gather([Ticket("images", 1), "video:2", ("voice", "3")])
    assert_type(outcomes, list[Success | Failed | Unresolved])
    async for outcome in client.stream(tickets, window=100):
        assert_type(outcome, Success | Failed | Unresolved)
        told(outcome)
    async for news in client.watch("images:1"):
        assert_type(news, Processing | Success | Failed | Unresolved)


async def generated_table(client: Client, batch: Batch, downloads: Downloads) -> None:
    submission = Submission("realtime/text2img", {"prompt": "a lighthouse"}, key="row 1")
    assert_type(await client.submit(submission), Processing | Success)
    assert_type(await client.generate(submission, timeout=60), Success)
    async for given, outcome in client.generate_many([submission]):
        assert_type(given, Submission)
        assert_type(outcome, Success | Failed | Unresolved | Unsubmitted)
    async for given, _ in batch.generate_many([submission], downloads=downloads):
        assert_type(given, Submission)


async def run_kept(client: Client, tickets: AsyncIterator[str]) -> Report:
    async with Batch.open("a.journal", client=client, lease=30) as batch:
        assert_type(batch, Batch)
        assert_type(await batch.add(tickets), int)
        rows = [("images:1", {"prompt": "a cat", "seed": 7})]
        assert_type(await batch.add(rows), int)
        async for recorded in batch.journal.recorded_outcomes():
            assert_type(recorded.columns, Mapping[str, Any])
            assert_type([file.path for file in recorded.files], list[str])
            assert_type((recorded.track_id, recorded.endpoint), tuple[str, str])
        async for outcome in batch.run(timeout=60, window=100):
            assert_type(outcome, Success | Failed | Unresolved)
        async for outcome in batch.outcomes():
            told(outcome)
        assert_type(await batch.export("a.csv"), int)
        await batch.journal.record_file(
            ("images", 1), 0, path="a.png", sha256="", size=1, url="https://a"
        )
        return await batch.report()


def told(outcome: Outcome) -> str:
    match outcome:
        case Success(ticket=ticket, output=links):
            return f"{ticket}: {links[0]}"
        case Failed(message=why):
            return why
        case Unresolved(cause=cause):
            return str(cause)
        case _:
            assert_never(outcome)


async def saved(client: Client, success: Success) -> tuple[SavedFile, ...]:
    assert_type(await download(success, to="out", client=client), tuple[SavedFile, ...])
    async with Downloads(client, to="out", concurrency=4, on_event=counted) as downloads:
        async for save_result in downloads.stream(client.stream(["images:1"])):
            assert_type(save_result, Saved | Unsaved | Failed | Unresolved)
            kept(save_result)
        generated = client.generate_many([("realtime/text2img", {"prompt": "a lighthouse"})])
        async for each in downloads.stream(outcome async for _, outcome in generated):
            assert_type(each, Saved | Unsaved | Failed | Unresolved | Unsubmitted)
        files = await downloads.save(success)
        loaded = await downloads.load(success, max_bytes=1_000_000)
        assert_type(loaded, tuple[LoadedFile, ...])
    assert_type(await verify("out", files), Verified)
    return files


def kept(save_result: SaveResult) -> str:
    match save_result:
        case Saved(files=files):
            return str(files[0].path)
        case Unsaved(cause=cause):
            return cause.url
        case Failed() | Unresolved():
            return str(save_result.ticket)
        case _:
            assert_never(save_result)


def counted(event: Event) -> float:  # noqa: PLR0912 -- one case for each event.
    value: float
    match event:
        case Polled(elapsed=elapsed):
            value = elapsed
        case PollFailed(failures=failures):
            value = failures
        case Paused(seconds=seconds):
            value = seconds
        case Completed(polls=polls):
            value = polls
        case SlotAwaited(used=used, limit=limit, reason=reason):
            assert_type(limit, int | None)
            assert_type(
                reason,
                Literal["slots_used", "rate_limit", "key_unconfirmed", "same_payload"],
            )
            value = used
        case Uploaded(elapsed=elapsed):
            value = elapsed
        case SubmitSent(waited=waited):
            value = waited
        case Submitted():
            value = 1
        case SubmitFailed(attempt=attempt):
            value = attempt
        case SubmitRetried(delay=delay):
            value = delay
        case SubmitUnconfirmed(error=error):
            assert_type(error, SubmitUncertain)
            value = 1
        case DownloadStarted(n=n):
            value = n
        case DownloadResumed(offset=offset):
            value = offset
        case Downloaded(file=file):
            value = file.size
        case DownloadFailed(received=received):
            value = received
        case _:
            assert_never(event)
    return value


async def stored(reply: Reply) -> None:
    assert_type(reply, Processing | Success | Failed)


def observed(client: Client, downloads: Downloads) -> str:
    otel.instrument(client)
    otel.instrument(downloads)
    webhooks.receiver(client, secret="a secret", on_reply=stored)
    return client.webhook_url("https://me.example", secret="a secret", family="realtime")


async def fetched(dask_client: DaskClient) -> int:
    report = await fetch_on_dask(dask_client, "ids/*.csv", to="out", shard=1000, rate=10)
    assert_type(report, FetchReport)
    return report.success


class Own:
    async def exchange(self, request: Request, /) -> Response:
        return Response(status_code=200, body=request.body)


def learned(saved: Mapping[str, Any] | None) -> AdaptivePace:
    pace = Pace.adaptive(Pace(floor=1), poll_cost=0.5, saved=saved)
    assert_type(pace.to_dict(), dict[str, Any])
    return Pace.adaptive(saved=pace.to_dict())


def clients(own: Transport) -> list[Client]:
    families = FAMILIES | {"v9_images": Family(name="v9_images", url="{base}/v9/images/fetch/{id}")}
    assert_type(families, dict[str, Family])
    return [
        Client(),
        Client("key", enterprise_key="other", families=families, pace=Pace.fixed(2)),
        Client("key", http=HTTPTransport(proxy="http://localhost:3128", connections=8)),
        Client("key", http=httpx.AsyncClient(), on_event=counted),
        Client("key", http=httpx.AsyncHTTPTransport(), workers=8, timeout=10),
        Client("key", http=httpx2.AsyncClient()),
        Client("key", http=httpx2.AsyncHTTPTransport()),
        Client("key", http=Own()),
        Client("key", http=own),
        Client("key", pace=learned(None)),
    ]


def started(endpoints: Mapping[str, Endpoint] = ENDPOINTS) -> Call:
    own = Endpoint(name="v9_images/paint", url="{base}/v9/images/paint", resolved_by="v9_images")
    table = {**endpoints, own.name: own}
    assert_type(table[own.name].parameters, tuple[str, ...])
    return table[own.name].build_submit({"prompt": "a lighthouse", "seed": None})


async def generated(client: Client, name: str, **params: Any) -> Success:
    assert_type(await client.submit(realtime.text2img(prompt="a", width=512)), Processing | Success)
    image = realtime.img2img(prompt="a", init_image=Path("a.png"), extra={"brand_new": 1})
    assert_type(image, Submission)
    voice.vocal_isolator(init_video=b"video", seed=1)
    voice.voice_cover(init_audio="https://a/b.mp3", model_id="a", seed="any type")
    await client.wait(realtime.ticket(13443927))
    requests = (realtime.text2img(prompt=prompt) for prompt in ("a", "b"))
    async for request, outcome in client.generate_many(requests):
        assert_type(request, Submission)
        assert_type(outcome, Success | Failed | Unresolved | Unsubmitted)
    async with Batch.open("a.journal", client=client) as batch:
        await batch.submit(image)
        async for keyed, _ in batch.generate_many(
            [image.with_key("row 1").with_columns({"note": 1})]
        ):
            assert_type(keyed, Submission)
            assert_type(keyed.key, str | None)
    await client.generate(image, timeout=5)
    return await client.generate(name, timeout=5, **params)


def read(body: bytes) -> dict[str, Any]:
    reply: Reply = read_reply(Ticket("images", 1), status_code=200, headers={}, body=body)
    assert_type(from_dict(to_dict(reply)), Processing | Success | Failed | Unresolved)
    return to_dict(reply)
