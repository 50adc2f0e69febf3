"""
Published clients of the service, unchanged, against the emulator on a socket.

`nox -s foreign` installs each client into a folder of its own and names their parent folder in
`FOREIGN_CLIENTS`. A client that is not there is skipped.
"""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import httpx
import pytest

from modelslab_async._downloads.content_sniffing import suffix_of
from modelslab_async.emulator import Emulator, Jobs, run_server

CLIENTS = Path(os.environ.get("FOREIGN_CLIENTS", "nowhere"))
HERE = Path(__file__).parent
TIMEOUT_S = 150
MEDIA = ("image", "video", "audio", "text", "3d")


def program(name, path):
    """Return the path of a program of a client, or skip the test."""
    found = CLIENTS / name / path
    if not found.exists():
        pytest.skip(f"{name} is not installed; `nox -s foreign` installs what it can")
    return found


async def run(*command, **environment):
    """Run a program with this environment, and return the last line of its standard output."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=kept | environment,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, messages = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert 0 == process.returncode, messages.decode()[-2000:]
    return (output.decode().splitlines() or [""])[-1]


class Clock:
    """The clock of the machine, which the test can put forward."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def emulator(clock):
    return Emulator(jobs=Jobs(duration=(0.2, 0.4)), clock=clock)


async def file_types(results, clock):
    """Return the types of the files in these results, with all jobs at their end."""
    clock.ahead = 3600.0
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
        links = [link for result in results for link in result["links"]]
        return [suffix_of((await http.get(link)).content, MEDIA) for link in links]


async def test_official_python_client(emulator, clock):
    """Every submit ends with success and files, also where its fetch names another family."""
    python = program("modelslab-py", "bin/python")
    async with run_server(emulator) as base_url:
        results = json.loads(await run(python, HERE / "drive_modelslab_py.py", base_url))
        types = await file_types(results, clock)

    assert ["success"] * 8 == [result["status"] for result in results]
    assert 8 == len(emulator.submits)
    assert ["png", "jpg", "wav", "txt", "mp4", "mp4", "txt", "png"] == types


CLI_CALLS = {
    "image --prompt a-cat --model flux": "jpg",
    "video --prompt a-cat --model wan": "mp4",
    "music --prompt a-cat --model lyria": "wav",
    "tts --text hello --model eleven": "wav",
    "text-to-3d --prompt a-cat": "glb",
}


@pytest.mark.parametrize("base", ["with /api", "without /api"])
async def test_official_command_line(emulator, tmp_path, base):
    """Each command waits for its job and saves the file, whatever form the base URL has."""
    modelslab = program("modelslab-cli", "bin/modelslab")
    async with run_server(emulator) as base_url:
        environment = {
            "MODELSLAB_API_KEY": "any-key",
            "MODELSLAB_BASE_URL": base_url if base == "with /api" else base_url[: -len("/api")],
            "HOME": str(tmp_path),
        }
        for number, call in enumerate(CLI_CALLS):
            folder = f"--output-dir={tmp_path / str(number)}"
            await run(
                modelslab, "--no-update-check", "generate", *call.split(), folder, **environment
            )

    assert len(CLI_CALLS) == len(emulator.submits)
    assert list(CLI_CALLS.values()) == [
        suffix_of(next((tmp_path / str(number)).iterdir()).read_bytes(), MEDIA)
        for number in range(len(CLI_CALLS))
    ]


async def test_agno(emulator, clock):
    """The tool announces a file of each type, and the files appear."""
    python = program("agno", "bin/python")
    async with run_server(emulator) as base_url:
        printed = await run(python, HERE / "drive_agno.py", base_url)
        results = json.loads(printed)
        types = await file_types(results, clock)

    assert all("generated successfully" in result["status"] for result in results)
    assert ["png", "mp4", "gif", "wav", "wav"] == types


async def test_promptfoo(emulator, clock, tmp_path):
    """The provider polls its picture to the end."""
    package = program("promptfoo", "node_modules/promptfoo")
    node = shutil.which("node")
    assert node is not None
    async with run_server(emulator) as base_url:
        printed = await run(
            node,
            HERE / "drive_promptfoo.mjs",
            package,
            base_url,
            HOME=str(tmp_path),
            PROMPTFOO_DISABLE_TELEMETRY="1",
            PROMPTFOO_DISABLE_UPDATE="1",
        )
        results = json.loads(printed)
        types = await file_types(results, clock)

    assert ["success"] == [result["status"] for result in results]
    assert ["png"] == types
    assert 1 == len(emulator.submits)
