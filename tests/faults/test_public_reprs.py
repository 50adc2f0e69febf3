"""No public object, and no part of one, shows an API key or the password of a database."""

import gc
import inspect
import traceback
from collections import deque
from collections.abc import Mapping

import httpx
import pytest

import modelslab_async
from modelslab_async import (
    Batch,
    Call,
    Client,
    Downloads,
    HTTPTransport,
    PostgresAccount,
    Request,
    Response,
    SQLiteAccount,
    Submission,
)
from modelslab_async.emulator import Emulator

SECRET = "a-secret-password"
PROXY = f"http://user:{SECRET}@127.0.0.1:9"
# The parameters of a constructor that may be given a secret, or an object that holds one.
MAY_BE_SECRET = {
    *("api_key", "enterprise_key", "address", "account", "client", "http", "proxy"),
    *("headers", "body", "fields", "parameters"),
}


def with_credentials(**more):
    return Client(SECRET, enterprise_key=f"{SECRET}-2", **more)


# Makes an object of each public class that may be given a secret, from the address of a server.
MAKERS = {
    Call: lambda _: Call(method="POST", url="https://a.test", fields={"n": 1}, repeatable=True),
    Client: lambda address: with_credentials(
        account=PostgresAccount(address, schema="reprs"),
        http=httpx.AsyncClient(headers={"key": SECRET}, auth=("user", SECRET)),
    ),
    Downloads: lambda address: Downloads(
        with_credentials(account=PostgresAccount(address, schema="reprs")),
        http=httpx.AsyncClient(headers={"key": SECRET}, proxy=PROXY),
    ),
    HTTPTransport: lambda _: HTTPTransport(proxy=PROXY),
    PostgresAccount: lambda address: PostgresAccount(address, schema="reprs"),
    Request: lambda _: Request(
        method="POST",
        url=f"https://a.test/?key={SECRET}",
        headers=(("key", SECRET),),
        body=SECRET.encode(),
    ),
    Response: lambda _: Response(
        status_code=302,
        headers=[(b"location", f"https://a.test/?key={SECRET}".encode())],
        body=f'{{"key": "{SECRET}"}}'.encode(),
    ),
    Submission: lambda _: Submission("realtime/text2img", {"prompt": "a cat"}),
}


def parts_of(thing):
    """Yield an object, and each object of this package that can be reached from it."""
    seen, left = {id(thing)}, deque([thing])
    while left:
        part = left.popleft()
        yield part
        for each in gc.get_referents(part):
            is_ours = type(each).__module__.startswith("modelslab_async")
            if id(each) not in seen and (is_ours or isinstance(each, (Mapping, list, tuple, set))):
                seen.add(id(each))
                left.append(each)


def shown_by(thing):
    """Return all that an object and its parts show of themselves."""
    return [
        f"{part!r} {part!s} {getattr(part, '_repr_html_', str)()}"
        for part in parts_of(thing)
        if type(part).__module__.startswith("modelslab_async")
    ]


def public_classes():
    public = (getattr(modelslab_async, name) for name in modelslab_async.__all__)
    return {each for each in public if isinstance(each, type)}


def test_each_class_that_may_be_given_a_secret_is_tested():
    """A new one gets an entry in `MAKERS`."""
    found = {
        each
        for each in public_classes()
        if not issubclass(each, BaseException)
        and MAY_BE_SECRET & inspect.signature(each).parameters.keys()
    }
    assert {each.__name__ for each in found} == {each.__name__ for each in (*MAKERS, Batch)}


@pytest.mark.parametrize("cls", MAKERS, ids=lambda cls: cls.__name__)
def test_object_that_is_given_a_secret_shows_it_nowhere(cls, postgres):
    """Crash reports show the repr of an object, and of its parts."""
    assert [] == [text for text in shown_by(MAKERS[cls](postgres.address)) if SECRET in text]


async def test_open_batch_shows_no_secret(path, postgres):
    """Neither does its client, which has joined an account and has polled."""
    emulator = Emulator()
    client = with_credentials(
        account=PostgresAccount(postgres.address, schema="reprs"),
        http=httpx.ASGITransport(app=emulator),
    )
    async with client, Batch.open(path, client=client) as batch:
        await batch.add([emulator.add_job("images:1", duration=0.0)])
        outcomes = [outcome async for outcome in batch.run()]
        shown = [text for thing in (batch, batch.journal, client) for text in shown_by(thing)]
    assert 1 == len(outcomes)
    assert [] == [text for text in shown if SECRET in text]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SQLiteAccount(f"postgresql://user:{SECRET}@host/db"),
        lambda: PostgresAccount(f"mysql://user:{SECRET}@host/db"),
        lambda: Client(f"{SECRET} and more"),
        lambda: Client(SECRET, account=f"postgresql://user:{SECRET}@host/db"),
        lambda: Client(SECRET, http=SECRET),
        lambda: Client(SECRET, rate=SECRET),
        lambda: Downloads(SECRET),
        lambda: HTTPTransport(proxy=f"gopher://user:{SECRET}@host"),
        lambda: Submission("realtime/text2img", {"key": SECRET}),
        lambda: Submission("realtime/text2img", SECRET),
    ],
)
def test_error_about_an_argument_does_not_show_it(make):
    """A secret in a wrong form or place is a likely mistake."""
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
