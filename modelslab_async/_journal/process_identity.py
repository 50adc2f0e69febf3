"""Holder: names a process so that others on its machine can tell, for sure, that it has died."""

import os
from pathlib import Path
from typing import Final

_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE_PATH: Final = Path("/proc/self/ns/pid")
# What `stat` says of a process: its state, and later when it began, counted from the boot.
_STATE_FIELD: Final = 0
_START_TIME_FIELD: Final = 19
_DEAD_STATES: Final = "ZX"


def this_process() -> str | None:
    """The name of this process; None where the system has nothing that would name it for good."""
    machine_id, pid = _machine_id(), os.getpid()
    fields = _stat_fields(pid)
    return f"{machine_id} {pid} {fields[_START_TIME_FIELD]}" if machine_id and fields else None


def has_died(identity: str | None) -> bool:
    """Whether a process is dead beyond doubt. Of another machine's, this one knows nothing."""
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
    # A number may have gone to another process since, and a killed child waits for its parent.
    return bool(fields) and (
        fields[_START_TIME_FIELD] != start_time or fields[_STATE_FIELD] in _DEAD_STATES
    )


def _machine_id() -> str:
    """This boot of this machine, and who shares its numbers; "" where there is no telling."""
    try:
        return f"{_BOOT_ID_PATH.read_text().strip()}/{_PID_NAMESPACE_PATH.readlink()}"
    except OSError:
        return ""


def _stat_fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The name of the program stands in brackets, and may hold anything.
    return text.rpartition(")")[2].split()
