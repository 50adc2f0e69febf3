"""Outages: a batch waits for half an hour, and its log tells them rarely."""

import asyncio
import logging
import socket
import subprocess
import sys

import pytest

from modelslab_async import Request, Response, TransportError
from modelslab_async._cli.batch.outage_log_filter import rare_outage_warnings
from modelslab_async._cli.batch.submit_command import OUTAGE_S
from modelslab_async._cli.client_factory import make_client


def test_submit_of_a_batch_is_tried_for_half_an_hour(virtually, monkeypatch, caplog):
    """The time alone ends it, and the log tells the outage rarely, not for each attempt."""
    monkeypatch.setenv("MODELSLAB_API_KEY", "a-key-for-tests")
    attempts = []

    async def fail(_sender, request: Request, *_args, **_more) -> Response:
        attempts.append(request)
        raise TransportError("no connection", may_have_been_sent=False)

    monkeypatch.setattr("modelslab_async._transport.sender.Sender.send", fail)

    async def main():
        client = make_client(None, None, unsent_timeout=OUTAGE_S)
        with rare_outage_warnings():
            async with client:
                with pytest.raises(TransportError, match="nothing was paid"):
                    await client.submit("realtime/text2img", prompt="a cat")
        assert 1700.0 < asyncio.get_running_loop().time() <= 1800.0

    caplog.set_level(logging.WARNING, "modelslab_async")
    virtually(main)
    assert len(attempts) > 30
    assert 1 == sum("cannot be sent" in each.getMessage() for each in caplog.records)


_SHORT_OUTAGES = """
import sys
from modelslab_async._cli.batch import submit_command
submit_command.OUTAGE_S = 600.0
from modelslab_async._cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_batch_that_cannot_be_sent_ends_with_few_lines(program, tmp_path, leap_at_first_warning):
    """The outage is told once for all rows, no further rows are begun, and nothing is recorded."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        command = (sys.executable, "-c", _SHORT_OUTAGES, "batch", "submit", "-")
        result = subprocess.run(
            [*command, "--endpoint", "realtime/text2img", "--journal", str(tmp_path / "run.db")],
            env=program.changed(
                {"MODELSLAB_BASE_URL": base_url, "PYTHONPATH": leap_at_first_warning(600.0)}
            ),
            input="".join(f"cat {n}\n" for n in range(300)),
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
    assert 10 == result.returncode, result.stderr
    assert 1 == result.stderr.count("cannot be sent: ")
    assert "could not be sent in" in result.stderr
    assert len(result.stderr.splitlines()) < 20


def test_other_warnings_are_logged_each_time(caplog):
    """Only warnings of unsent submits are rare."""
    caplog.set_level(logging.WARNING, "modelslab_async")
    with rare_outage_warnings():
        for _ in range(3):
            logging.getLogger("modelslab_async").warning("the disk is full")
    assert 3 == len(caplog.records)
