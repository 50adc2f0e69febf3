"""The page that lists what goes wrong: it names every fault, and what becomes of a submit."""

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
BEGINS = {name: says for name, _, says in ROWS}
BODY = b'{"key": "any-key", "prompt": "a lighthouse"}'
SUBMIT = (
    b"POST /api/v6/realtime/text2img HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
ENOUGH = 4096


def test_the_page_lists_every_fault():
    """The table of the page is the table of the code, word by word."""
    assert dict(FAULTS) == {name: says for name, says, _ in ROWS}


async def submitted(base_url):
    """Send one submit, and read what comes until it ends, or is endless."""
    host, _, port = base_url.removeprefix("http://").partition("/")[0].rpartition(":")
    read = 0
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(SUBMIT)
        writer.write_eof()
        while read < ENOUGH and (data := await reader.read(ENOUGH)):
            read += len(data)
        writer.transport.abort()
    except OSError:
        pass


@pytest.mark.parametrize("name", FAULTS)
async def test_the_page_tells_whether_a_submit_begins_work(name):
    """As it is: a fault in place of the answer comes before the work, a broken answer after it."""
    emulator, traffic = Emulator(), Traffic()
    early = name in CONNECTION_FAULTS
    faults = Faults(
        script=() if early else (name,), connections=(name,) if early else (), delay=0.001
    )
    async with (
        asyncio.timeout(60),
        run_faulty_server(emulator, faults, traffic=traffic) as base_url,
    ):
        await submitted(base_url)
        assert 1 == traffic.injected.total()
    assert BEGINS[name] == ("yes" if emulator.submits else "no")
