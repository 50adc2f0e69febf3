"""
A server that sends every request the same reply: nginx if it is installed, else granian.

Without either, uvicorn is used. It is slow enough to be the bottleneck, so use it for short runs.
Only nginx answers over TLS too, and only nginx says below `/processing` that a job still runs.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BODY = json.dumps(
    {
        "status": "success",
        "id": 13443927,
        "generationTime": 2.4,
        "output": ["https://pub-0.r2.dev/generations/13443927-0.png"],
        "proxy_links": ["https://cdn2.example/generations/13443927-0.png"],
        "meta": {"H": 512, "W": 512, "prompt": "p" * 200, "seed": 1237182, "steps": 20},
    }
)
# nginx puts the id of the URL in place of `$ticket`, so that no two tickets have the same body.
PROCESSING = json.dumps(
    {
        "status": "processing",
        "tip": "Your image is processing in background, you can get it by the fetch API",
        "eta": 7,
        "message": "Try to fetch request after seconds estimated",
        "fetch_result": "https://modelslab.com/api/v6/realtime/fetch/$ticket",
        "id": "$ticket",
        "output": "",
        "meta": {"height": 512, "width": 512, "prompt": "p" * 130, "seed": 1237182},
    }
)
_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 1m;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        {tls}
        location / {{ return 200 '{body}'; }}
        location ~ ^/processing/.*/(?<ticket>[0-9]+)$ {{ return 200 '{processing}'; }}
    }}
}}
"""
_NGINX_TLS = """
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
"""
_APPLICATION = """
BODY = {body!r}.encode()
HEAD = {{"type": "http.response.start", "status": 200, "headers": [
    (b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]}}
TAIL = {{"type": "http.response.body", "body": BODY}}

async def answer(scope, receive, send):
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        await send(HEAD)
        await send(TAIL)
"""


class Server(NamedTuple):
    """
    A running server.

    Attributes:
        name: The name of the program.
        url: Its URL.
        tls_url: Its URL over TLS; "" if it has none.
        authority: The file with the certificate that clients must trust; "" without TLS.
    """

    name: str
    url: str
    tls_url: str = ""
    authority: str = ""


@contextlib.contextmanager
def fixed_server() -> Iterator[Server]:
    """
    Run a server for the length of the block.

    Raises:
        RuntimeError: No server is installed, or it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        port, tls_port = free_port(), free_port()
        has_tls = _write_certificates(Path(folder))
        name, command = _command(Path(folder), port, tls_port if has_tls else None)
        # Python must find the application in its working folder.
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"
        }
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
            server = Server(name, f"http://127.0.0.1:{port}")
            if has_tls and name == "nginx":
                server = server._replace(
                    tls_url=f"https://127.0.0.1:{tls_port}", authority=f"{folder}/authority.pem"
                )
            yield server
        finally:
            process.terminate()
            process.wait()


def _write_certificates(folder: Path) -> bool:
    """Write a certificate and its authority. Return False if that package is not installed."""
    if importlib.util.find_spec("trustme") is None:
        return False
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    return True


def _command(folder: Path, port: int, tls_port: int | None) -> tuple[str, list[str]]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is not None:
        tls = _NGINX_TLS.format(port=tls_port, folder=folder) if tls_port else ""
        settings = folder / "nginx.conf"
        settings.write_text(
            _NGINX.format(folder=folder, port=port, tls=tls, body=BODY, processing=PROCESSING)
        )
        return "nginx", [nginx, "-p", str(folder), "-e", f"{folder}/error", "-c", str(settings)]
    granian = Path(sys.executable).with_name("granian")
    (folder / "application.py").write_text(_APPLICATION.format(body=BODY))
    if granian.exists():
        address = ["--host", "127.0.0.1", "--port", str(port), "--backlog", "4096", "--no-ws"]
        return "granian", [
            str(granian),
            "--interface",
            "asgi",
            "--no-log",
            *address,
            "application:answer",
        ]
    if importlib.util.find_spec("uvicorn"):
        address = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "critical"]
        return "uvicorn", [sys.executable, "-m", "uvicorn", *address, "application:answer"]
    raise RuntimeError("install nginx or granian, so that the server is not the bottleneck")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """
    Wait until a server that was just started listens.

    Raises:
        RuntimeError: It has ended, or does not listen after five minutes.
    """
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("the server did not start")
