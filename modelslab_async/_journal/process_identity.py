"""Identifies a process so that others on its machine can tell that it has died."""

import os
from pathlib import Path
from typing import Final

_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE_PATH: Final = Path("/proc/self/ns/pid")
# Fields of /proc/<pid>/stat after the program's name: the state, and the start time in clock
# ticks since the boot.
_STATE_FIELD: Final = 0
_START_TIME_FIELD: Final = 19
_DEAD_STATES: Final = "ZX"


def this_process() -> str | None:
    """Return the identity of this process; None on systems without a unique one."""
    machine_id, pid = _machine_id(), os.getpid()
    fields = _stat_fields(pid)
    return f"{machine_id} {pid} {fields[_START_TIME_FIELD]}" if machine_id and fields else None


def has_died(identity: str | None) -> bool:
    """Return whether a process is certainly dead. False for a process of another machine."""
    machine_id, _, process = (identity or "").partition(" ")
    pid, _, start_time = process.partition(" ")
    if not machine_id or machine_id != _machine_id() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    fields = _stat_fields(int(pid))
    # Another process may have the pid by now, and a killed child is a zombie until its parent
    # waits for it.
    return bool(fields) and (
        fields[_START_TIME_FIELD] != start_time or fields[_STATE_FIELD] in _DEAD_STATES
    )


def _machine_id() -> str:
    """Return an id of this boot and this pid namespace; "" if the system has none."""
    try:
        return f"{_BOOT_ID_PATH.read_text().strip()}/{_PID_NAMESPACE_PATH.readlink()}"
    except OSError:
        return ""


def _stat_fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The program's name stands in parentheses, and can itself contain blanks and parentheses.
    return text.rpartition(")")[2].split()
