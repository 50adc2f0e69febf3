"""A PostgreSQL server of the tests' own: on a Unix socket, in a folder, without a password."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from modelslab_async._account import postgres_connection, postgres_schema_sql
from modelslab_async._journal import postgres_session

HOW_TO_INSTALL = "there is no PostgreSQL; on Debian: apt-get install postgresql"
# The server refuses to run as root, so it runs as the user that has no rights.
_UNPRIVILEGED_UID = 65534
_MOST_SECONDS = "550"
_SETTINGS = "-c listen_addresses= -c max_connections=200 -c shared_buffers=32MB -c fsync=off"


def find_programs() -> Path | None:
    """The folder with the programs of a server; None if there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parts[-2])
    on_path = shutil.which("initdb")
    candidates = [*([Path(on_path).parent] if on_path else []), *reversed(folders)]
    return next((folder for folder in candidates if (folder / "pg_ctl").exists()), None)


@define
class PostgresServer:
    """A server, which is made when it is started for the first time."""

    programs: Path
    folder: Path
    more_settings: str = ""

    @classmethod
    def make(cls, programs: Path) -> "PostgresServer":
        # The path of a Unix socket is short, and pytest's own folders are not open to other users.
        folder = Path(tempfile.mkdtemp(prefix="pg-"))
        server = cls(programs, folder)
        try:
            if os.geteuid() == 0:
                os.chown(folder, _UNPRIVILEGED_UID, -1)
            server._run(
                *("initdb", "-D", server.data, "-U", "tests", "-A", "trust", "-E", "UTF8"),
                *("--locale=C", "--no-sync"),
            )
        except BaseException:
            server.remove()
            raise
        return server

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @property
    def address(self) -> str:
        return f"postgresql://tests:a-secret-password@/postgres?host={self.folder}"

    def listen(self, port: int) -> None:
        """Take connections over TCP as well, from now on and without a password."""
        with Path(self.data, "pg_hba.conf").open("a") as rules:
            rules.write("host all all 0.0.0.0/0 trust\n")
        self.more_settings += f" -c listen_addresses=0.0.0.0 -c port={port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = str(self.folder / "log")
        settings = f"{_SETTINGS} -k {self.folder} {self.more_settings}"
        self._control("start", "-w", "-t", _MOST_SECONDS, "-l", log, "-o", settings)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `immediate` is as good as a kill."""
        self._control("stop", "-w", "-t", _MOST_SECONDS, "-m", mode)

    def kill(self) -> None:
        """Kill all its processes with SIGKILL, and wait for their end. Only for Linux."""
        parent = Path(self.data, "postmaster.pid").read_text().split()[0]
        # It could start another process while the list is read.
        os.kill(int(parent), signal.SIGSTOP)
        children = Path("/proc", parent, "task", parent, "children").read_text().split()
        for process in (parent, *children):
            os.kill(int(process), signal.SIGKILL)
        while any(Path("/proc", process).exists() for process in (parent, *children)):
            time.sleep(0.001)

    def remove(self) -> None:
        """Stop it, unless a test has, and remove its folder."""
        if Path(self.data, "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder)

    @classmethod
    @contextmanager
    def running(cls, port: int | None = None) -> Iterator["PostgresServer"]:
        """
        Run a new server for patient clients; skip the test if there is no PostgreSQL.

        With a port it is reached over TCP as well.
        """
        programs = find_programs()
        if programs is None:
            pytest.skip(HOW_TO_INSTALL)
        try:
            server = cls.make(programs)
        # Such as a container whose root may not become another user.
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL cannot run here: {error}")
        try:
            if port is not None:
                server.listen(port)
            server.start()
            with pytest.MonkeyPatch.context() as patch:
                # No test depends on how fast the machine is.
                patch.setattr(postgres_connection, "_CONNECT_TIMEOUT_S", 300)
                patch.setattr(postgres_connection, "_STATEMENT_TIMEOUT_S", 300.0)
                patch.setitem(postgres_schema_sql._VALUES, "LOCK_TIMEOUT", "300s")
                patch.setattr(postgres_session, "CONNECT_TIMEOUT_S", 300)
                patch.setattr(postgres_session, "_STATEMENT_TIMEOUT_S", 300.0)
                patch.setattr(postgres_session, "_MAX_IDLE_IN_TRANSACTION", "300s")
                yield server
        finally:
            server.remove()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", self.data, *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": _UNPRIVILEGED_UID, "extra_groups": []}
        # The server inherits these files, so they are no pipes whose end would be waited for.
        with (self.folder.parent / f"{self.folder.name}.out").open("w+") as output:
            Path(output.name).unlink()
            done = subprocess.run(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **user,
            )
            output.seek(0)
            if done.returncode:
                raise OSError(f"{program} gave {done.returncode}: {output.read()}")
