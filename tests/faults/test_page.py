"""The page that lists all faults, and says whether a submit with each of them starts a job."""

import asyncio
import re
from pathlib import Path

import pytest

from modelslab_async.emulator import Emulator, Faults, Traffic, run_faulty_server
from modelslab_async.emulator.faults.connection_faults import CONNECTION_FAULTS
from modelslab_async.emulator.faults.fault_plan import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"
ROWS = re.findall(
    r"^\| `(\w+)` \| (.+) \| (.+) \|$",
    PAGE.read_text("utf-8").partition("## Every fault by its name")[2],
    re.MULTILINE,
)
STARTS_JOB = {name: cell for name, _, cell in ROWS}
BODY = b'{"key": "any-key", "prompt": "a lighthouse"}'
SUBMIT = (
    b"POST /api/v6/realtime/text2img HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
MAX_READ_BYTES = 4096


def test_page_lists_every_fault():
    """The table on the page has the names and descriptions of the code."""
    assert dict(FAULTS) == {name: description for name, description, _ in ROWS}


async def send_submit(base_url):
    """Send one submit, and read until the reply ends or is too long."""
    host, _, port = base_url.removeprefix("http://").partition("/")[0].rpartition(":")
    read = 0
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(SUBMIT)
        writer.write_eof()
        while read < MAX_READ_BYTES and (data := await reader.read(MAX_READ_BYTES)):
            read += len(data)
        writer.transport.abort()
    except OSError:
        pass


@pytest.mark.parametrize("name", FAULTS)
async def test_page_says_whether_a_submit_starts_a_job(name):
    """A fault that replaces the reply comes before the job, a broken reply comes after it."""
    emulator, traffic = Emulator(), Traffic()
    at_connect = name in CONNECTION_FAULTS
    faults = Faults(
        script=() if at_connect else (name,), connections=(name,) if at_connect else (), delay=0.001
    )
    async with (
        asyncio.timeout(300),
        run_faulty_server(emulator, faults, traffic=traffic) as base_url,
    ):
        await send_submit(base_url)
        assert 1 == traffic.injected.total()
    assert STARTS_JOB[name] == ("yes" if emulator.submits else "no")
