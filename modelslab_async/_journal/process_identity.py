"""Identifies processes, and finds out whether a process has died."""

import os
from pathlib import Path
from typing import Final

_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE_PATH: Final = Path("/proc/self/ns/pid")
# Positions of two fields of /proc/<pid>/stat, counted after the program's name: the state, and the
# start time in clock ticks since boot.
_STATE_FIELD: Final = 0
_START_TIME_FIELD: Final = 19
_DEAD_STATES: Final = "ZX"


def this_process() -> str | None:
    """Return a string that identifies this process uniquely; None on a system without /proc."""
    machine_id, pid = _machine_id(), os.getpid()
    fields = _stat_fields(pid)
    return f"{machine_id} {pid} {fields[_START_TIME_FIELD]}" if machine_id and fields else None


def has_died(identity: object) -> bool:
    """Return whether a process has certainly died; False for any process on another machine."""
    if not isinstance(identity, str):
        return False  # No identity was recorded, or the recorded one is damaged.
    machine_id, _, process = identity.partition(" ")
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
    # If the start time has changed, the process has ended, and another process has its pid now. A
    # zombie has ended too, although its pid is still in use.
    return bool(fields) and (
        fields[_START_TIME_FIELD] != start_time or fields[_STATE_FIELD] in _DEAD_STATES
    )


def _machine_id() -> str:
    """Return a string that identifies this boot and pid namespace; "" on a system without /proc."""
    try:
        return f"{_BOOT_ID_PATH.read_text().strip()}/{_PID_NAMESPACE_PATH.readlink()}"
    except OSError:
        return ""


def _stat_fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # Split at the last closing parenthesis. The program's name is in parentheses, and can itself
    # contain blanks and parentheses.
    return text.rpartition(")")[2].split()
