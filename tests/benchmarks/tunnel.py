"""A proxy on this machine that opens tunnels: tinyproxy, if it is installed."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fixed_server import free_port, wait_for_port

_SETTINGS = """
Port {port}
Listen 127.0.0.1
MaxClients 2000
Timeout 600
LogLevel Critical
LogFile "{folder}/log"
"""


@contextlib.contextmanager
def tunnel() -> Iterator[str | None]:
    """Run a proxy for the length of the block. Yield its URL; None if it is not installed."""
    program = shutil.which("tinyproxy")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = Path(folder, "settings")
        settings.write_text(_SETTINGS.format(port=port, folder=folder))
        process = subprocess.Popen([program, "-d", "-c", str(settings)], stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()
