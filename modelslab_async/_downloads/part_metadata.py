"""Reads and writes the metadata of a part file, as JSON. Blocking I/O."""

import json
from pathlib import Path

from attrs import asdict, frozen

from .byte_ranges import is_sendable
from .file_locks import open_regular

METADATA_SUFFIX = ".json"
_MAX_METADATA_BYTES = 1 << 20


@frozen
class PartMetadata:
    """
    Describes the file whose bytes a part holds: its link, its version and its size.

    Args:
        url: The link without its query.
        validator: The response's strong ETag, else its Last-Modified; "" if it has neither.
        size: The size of the whole file, or None while it is not known.
        sha256: The checksum of the whole file, or None until the file is complete and checked.
        is_length_known: Whether a response announced `size`. If false, `size` is the number of
            bytes received.
    """

    url: str
    validator: str
    size: int | None
    sha256: str | None = None
    is_length_known: bool = True

    @property
    def is_reusable(self) -> bool:
        """Whether the part has a validator or a checksum, so that a later run can continue it."""
        return bool(self.validator) or self.sha256 is not None


def metadata_path_of(part: Path) -> Path:
    """Return the path of the metadata file of a part file."""
    return part.with_name(f"{part.name}{METADATA_SUFFIX}")


def write_metadata(path: Path, metadata: PartMetadata) -> None:
    """Write the metadata with a single `write`, because the process may be killed at any moment."""
    text = json.dumps(asdict(metadata)).encode()
    with open_regular(path) as file:
        file.write(text)
        file.truncate(len(text))


def read_metadata(path: Path) -> PartMetadata | None:
    """Return the metadata in a file; None if the file is missing or not valid."""
    try:
        with open_regular(path, create=False) as file:
            record = json.loads(file.read(_MAX_METADATA_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    match record:
        case {
            "url": str(url),
            "validator": str(validator),
            "size": int() | None as size,
            "sha256": str() | None as digest,
        }:
            is_length_known = record.get("is_length_known") is not False
            metadata = PartMetadata(url, validator, size, digest, is_length_known)
            is_plausible = is_sendable(validator) and type(size) is not bool
            return metadata if metadata.is_reusable and is_plausible else None
    return None
