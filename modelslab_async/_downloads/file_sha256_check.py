"""Compares a file with a known size and SHA-256. Blocking I/O."""

from hashlib import file_digest
from pathlib import Path


def has_checksum(path: Path, size: int, sha256: str) -> bool:
    """
    Whether there is a regular file with this size and SHA-256 at a path.

    Raises:
        OSError: The file cannot be read.
    """
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return sha256 == file_digest(file, "sha256").hexdigest()
