"""A test that mocks httpx and forgets the client's transport is told so, and sends nothing."""

import asyncio

import httpx
import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelslab_async import (
    Client,
    Downloads,
    LinkRefused,
    RequestBlocked,
    Success,
    Ticket,
    Unresolved,
    Unsubmitted,
)
from modelslab_async.emulator import Emulator

DONE = {"status": "success", "id": 1, "output": ["https://files.example/1.png"]}
STARTED = {"status": "processing", "id": 1, "eta": 1, "fetch_result": "", "output": []}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
PICTURE = Success(ticket=Ticket("images", "1"), output=["https://8.8.8.8/1.png"])


async def fetch(client):
    await client.fetch("images:1")


async def wait(client):
    await client.wait("images:1", timeout=60)


async def gather(client):
    raise_cause(*await client.gather(["images:1", "video:2", "legacy_v3:3"], timeout=60))


async def stream(client):
    raise_cause(*[outcome async for outcome in client.stream(["images:1", "images:2"], timeout=60)])


async def watch(client):
    raise_cause(*[change async for change in client.watch("images:1")])


async def submit(client):
    await client.submit("realtime/text2img", prompt="a lighthouse")


async def submit_a_file(client):
    await client.submit("realtime/img2img", prompt="a lighthouse", init_image=PNG)


async def generate(client):
    await client.generate("realtime/text2img", prompt="a lighthouse", timeout=60)


async def generate_many(client):
    prompts = [("realtime/text2img", {"prompt": str(n)}) for n in range(3)]
    raise_cause(*[outcome async for _, outcome in client.generate_many(prompts, timeout=60)])


async def ask(client):
    await client.ask("general/wallet_balance")


USES = [fetch, wait, gather, stream, watch, submit, submit_a_file, generate, generate_many, ask]


def raise_cause(*outcomes):
    """Raise why the first outcome is none, as `wait` would; fail if all are outcomes."""
    for outcome in outcomes:
        assert isinstance(outcome, Unresolved | Unsubmitted)
    raise outcomes[0].cause


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_default_transport_sends_nothing_while_respx_is_active(use, using, unasked_server):
    """The first request raises, in every method, and says how respx can see it."""
    with respx.mock(using=using):
        async with Client() as client:
            with pytest.raises(RequestBlocked, match=r"respx is .* Client\(http=httpx.AsyncClient"):
                await use(client)
    assert unasked_server.is_unasked


@pytest.mark.parametrize("use", USES)
async def test_default_transport_sends_nothing_while_pytest_httpx_is_active(
    use, unasked_server, httpx_mock
):
    """The first request raises, in every method, and says how pytest-httpx can see it."""
    async with Client() as client:
        with pytest.raises(RequestBlocked, match=r"pytest-httpx is .* Client\(http=httpx.Async"):
            await use(client)
    assert unasked_server.is_unasked
    assert [] == httpx_mock.get_requests()


STEPS = st.lists(
    st.tuples(st.sampled_from(USES), st.booleans(), st.sampled_from([1, 2, 5])),
    min_size=1,
    max_size=4,
)


async def run_steps(steps):
    """Run a program: each step uses a client, new or shared, in one task or in several."""
    async with Client() as shared:
        for use, is_own, copies in steps:
            client = Client() if is_own else shared
            results = await asyncio.gather(
                *(use(client) for _ in range(copies)), return_exceptions=True
            )
            assert {RequestBlocked} == {type(result) for result in results}
            if is_own:
                await client.aclose()


def run_mocked_programs(count, unasked_server):
    @settings(
        max_examples=count,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        deadline=None,
    )
    @given(STEPS, st.sampled_from(["httpcore", "httpx"]))
    def run(steps, using):
        with respx.mock(using=using):
            asyncio.run(run_steps(steps))
        assert unasked_server.is_unasked

    run()


def test_random_programs_under_respx_send_nothing(unasked_server):
    """However a program uses clients, the mocked service is never asked for real."""
    run_mocked_programs(30, unasked_server)


@pytest.mark.thorough
def test_a_thousand_random_programs_under_respx_send_nothing(unasked_server):
    """However a program uses clients, the mocked service is never asked for real."""
    run_mocked_programs(1000, unasked_server)


async def test_default_transport_sends_again_after_the_mock(serving):
    """A mock that has ended blocks nothing, although its package stays imported."""
    emulator = Emulator()
    emulator.add_job("images:1", duration=0)
    with serving(emulator) as url:
        async with Client("a-key", base_url=url, legacy_base_url=url) as client:
            with respx.mock, pytest.raises(RequestBlocked):
                await client.fetch("images:1")
            assert isinstance(await client.fetch("images:1"), Success)
    assert 1 == emulator.request_count


HTTPX_WAYS = {
    "client": httpx.AsyncClient,
    "transport": httpx.AsyncHTTPTransport,
}


@pytest.mark.parametrize("way", HTTPX_WAYS)
async def test_respx_answers_requests_over_httpx(way, unasked_server):
    """A client over httpx is mocked by respx, as the message says."""
    http = HTTPX_WAYS[way]()
    with respx.mock(base_url=unasked_server.url) as router:
        fetching = router.post("/api/v6/images/fetch").respond(json=DONE)
        async with Client(http=http) as client:
            assert DONE["output"] == list((await client.wait("images:1")).output)
    assert 1 == fetching.call_count
    assert unasked_server.is_unasked


@pytest.mark.parametrize("way", HTTPX_WAYS)
async def test_pytest_httpx_answers_requests_over_httpx(way, unasked_server, httpx_mock):
    """A client over httpx is mocked by pytest-httpx, as the message says."""
    http = HTTPX_WAYS[way]()
    httpx_mock.add_response(json=DONE)
    async with Client(http=http) as client:
        assert DONE["output"] == list((await client.wait("images:1")).output)
    assert 1 == len(httpx_mock.get_requests())
    assert unasked_server.is_unasked


async def test_mock_transport_answers_beside_an_active_mock(unasked_server):
    """A transport that the test passed itself is used, whatever else is mocked."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=DONE))
    with respx.mock:
        async with Client(http=transport) as client:
            assert isinstance(await client.fetch("images:1"), Success)
    assert unasked_server.is_unasked


async def test_respx_answers_downloads(tmp_path):
    """The transport of downloads goes through httpcore, so respx sees it as it is."""
    with respx.mock:
        link = respx.get(PICTURE.output[0]).respond(content=PNG)
        async with Downloads(to=tmp_path) as downloads:
            [file] = await downloads.save(PICTURE)
    assert PNG == file.path.read_bytes()
    assert 1 == link.call_count


async def test_download_is_refused_while_respx_mocks_httpx_alone(tmp_path):
    """A download that respx cannot see raises, and is not tried again."""
    with respx.mock(using="httpx"):
        async with Downloads(to=tmp_path) as downloads:
            with pytest.raises(LinkRefused, match=r"Downloads\(http=httpx.AsyncClient\(\)\)"):
                await downloads.save(PICTURE)


async def test_download_is_refused_while_pytest_httpx_is_active(tmp_path, httpx_mock):
    """A download that pytest-httpx cannot see raises, and is not tried again."""
    async with Downloads(to=tmp_path) as downloads:
        with pytest.raises(LinkRefused, match=r"pytest-httpx is active"):
            await downloads.save(PICTURE)
    httpx_mock.add_response(content=PNG)
    async with Downloads(to=tmp_path, http=httpx.AsyncClient()) as downloads:
        [file] = await downloads.save(PICTURE)
    assert PNG == file.path.read_bytes()
