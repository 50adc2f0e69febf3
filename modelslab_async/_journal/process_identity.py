"""Holder: names a process so that others on its machine can tell, for sure, that it has died."""

import os
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
# What `stat` says of a process: its state, and later when it began, counted from the boot.
_STATE: Final = 0
_BEGAN: Final = 19
_DEAD: Final = "ZX"


def this_process() -> str | None:
    """The name of this process; None where the system has nothing that would name it for good."""
    machine, pid = _machine(), os.getpid()
    stat = _stat(pid)
    return f"{machine} {pid} {stat[_BEGAN]}" if machine and stat else None


def has_died(holder: str | None) -> bool:
    """Whether a process is dead beyond doubt. Of another machine's, this one knows nothing."""
    machine, _, process = (holder or "").partition(" ")
    pid, _, began = process.partition(" ")
    if not machine or machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    stat = _stat(int(pid))
    # A number may have gone to another process since, and a killed child waits for its parent.
    return bool(stat) and (stat[_BEGAN] != began or stat[_STATE] in _DEAD)


def _machine() -> str:
    """This boot of this machine, and who shares its numbers; "" where there is no telling."""
    try:
        return f"{_BOOT.read_text().strip()}/{_NAMESPACE.readlink()}"
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The name of the program stands in brackets, and may hold anything.
    return text.rpartition(")")[2].split()
