"""How users write it, for the type checkers alone: nothing here is ever run."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, assert_never, assert_type

import httpx

from modelslab_async import (
    FAMILIES,
    HTTP,
    Client,
    Event,
    Failed,
    Family,
    Faulted,
    Learned,
    Looked,
    Outcome,
    Pace,
    Paused,
    Processing,
    Reply,
    Request,
    Response,
    Settled,
    Success,
    Ticket,
    Unresolved,
    from_dict,
    read_reply,
    to_dict,
)


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


def counted(event: Event) -> float:
    match event:
        case Looked(took=took):
            return took
        case Faulted(faults=faults):
            return faults
        case Paused(seconds=seconds):
            return seconds
        case Settled(looks=looks):
            return looks
        case _:
            assert_never(event)


class Own:
    async def exchange(self, request: Request, /) -> Response:
        return Response(status_code=200, body=request.body)


def learned(saved: Mapping[str, Any] | None) -> Learned:
    pace = Pace.learned(Pace(floor=1), look=0.5, saved=saved)
    assert_type(pace.to_dict(), dict[str, Any])
    return Pace.learned(saved=pace.to_dict())


def clients(own: HTTP) -> list[Client]:
    families: Mapping[str, Family] = FAMILIES | {
        "v8_images": Family(name="v8_images", url="{base}/v8/images/fetch/{id}")
    }
    return [
        Client(),
        Client("key", enterprise_key="other", families=families, pace=Pace.fixed(2)),
        Client("key", http=httpx.AsyncClient(), on_event=counted),
        Client("key", http=httpx.AsyncHTTPTransport(), workers=8, timeout=10),
        Client("key", http=Own()),
        Client("key", http=own),
        Client("key", pace=learned(None)),
    ]


def read(body: bytes) -> dict[str, Any]:
    reply: Reply = read_reply(Ticket("images", 1), status_code=200, headers={}, body=body)
    assert_type(from_dict(to_dict(reply)), Processing | Success | Failed | Unresolved)
    return to_dict(reply)
