"""What the tests of submits share: a service that counts what it starts, and breaks on command."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from modelslab_async import Client, Pace, Request, Response, TransportError

KEY = "a-test-key-1234"
REALTIME = "realtime/text2img"


def json_response(
    status_code: int = 200, headers: dict[str, str] | None = None, **body: Any
) -> Response:
    lines = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Response(status_code=status_code, headers=lines, body=json.dumps(body).encode())


class Service:
    """
    Starts work for every submit it reads, and says what a list of steps tells it to.

    A step gets the request and returns a response or raises. `starts` counts the work by track_id,
    which is what a user pays for. With no step left, a submit is accepted, and its first poll
    returns the result.
    """

    def __init__(self, *steps: Callable[["Service", dict[str, Any]], Response]) -> None:
        self.steps = list(steps)
        self.starts: Counter[str] = Counter()
        self.submits: list[dict[str, Any]] = []
        self.moments: list[float] = []
        self.polls = 0
        self.polled_urls: set[str] = set()

    async def exchange(self, request: Request, /) -> Response:
        await asyncio.sleep(0.01)
        if "/fetch" in request.url:
            self.polls += 1
            self.polled_urls.add(request.url)
            return json_response(status="success", output=["https://x.example/1.png"])
        fields = json.loads(request.body)
        self.submits.append(fields)
        self.moments.append(asyncio.get_running_loop().time())
        step = self.steps.pop(0) if self.steps else accept
        return step(self, fields)

    def start(self, fields: dict[str, Any]) -> int:
        self.starts[str(fields["track_id"])] += 1
        return self.starts.total()

    def client(self, **more: Any) -> Client:
        return Client(KEY, http=self, **more)


def accept(service: Service, fields: dict[str, Any]) -> Response:
    return json_response(status="processing", id=service.start(fields), eta=3, output=[])


def finish_at_once(service: Service, fields: dict[str, Any]) -> Response:
    return json_response(
        status="success", id=service.start(fields), output=["https://x.example/1.png"]
    )


def never_left(*_: object) -> Response:
    raise TransportError("connection refused", may_have_been_sent=False)


def connection_lost(*_: object) -> Response:
    raise TransportError("the connection broke", may_have_been_sent=True)


def lost_after_start(service: Service, fields: dict[str, Any]) -> Response:
    service.start(fields)
    raise TransportError("the connection broke", may_have_been_sent=True)


def queue_full(*_: object) -> Response:
    message = "Rate limit exceeded. Maximum 5 queued requests allowed."
    return json_response(429, status="error", message=message, retry_after=30)


def spam(*_: object) -> Response:
    tips = (
        "you are sending same request multiple times, spam filter is enabled, please wait for 30 "
        "seconds and try again"
    )
    return json_response(status="error", message="Rate limit exceeded", tips=tips)


@pytest.fixture
def service() -> type[Service]:
    return Service


QUICK = Pace(floor=0.1)
