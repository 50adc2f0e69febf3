"""
Finds the input files that match a pattern, and the output files that earlier calls wrote for them.

An output file is called a part.
"""

import os
import re
from collections import defaultdict
from glob import glob, has_magic
from hashlib import blake2b
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from .._aio.durable_files import MAX_DRAFT_AGE_S, make_folder, remove_if_old
from .._tables.table_errors import UnusableTable

_DIGEST_BYTES: Final = 8
_MAX_LABEL_CHARS: Final = 100
_OTHER_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PART: Final = re.compile(r"part-(?P<label>.+)-(?P<digest>[0-9a-f]{16})-(?P<size>\d+)-\d+\.parquet")
# The seconds after which a hidden file is removed, by its suffix. A shard is written long before it
# is polled, because all shards of a table are queued at once. So a fetch may need it for weeks.
_MAX_HIDDEN_AGES_S: Final = {".draft": MAX_DRAFT_AGE_S, ".shard": 30 * 86_400.0}


@frozen(kw_only=True)
class InputFile:
    """
    A file with tickets.

    Attributes:
        path: The path of the file.
        label: The text that identifies this file in the names of its output files. All files that
            match one pattern have different labels.
        digests: The digests in the names of this file's existing output files. Each name contains a
            digest of the input file's content at the time when the output file was made.
    """

    path: str
    label: str
    digests: frozenset[str] = frozenset()

    def part_name(self, digest: str, size: int, number: int) -> str:
        """Return the name of the output file for a shard. `number` is its zero-based index."""
        return f"part-{self.label}-{digest}-{size}-{number:06}.parquet"


def find_inputs(pattern: str, folder: str, size: int) -> list[InputFile]:
    """
    Return the input files in the order of their names, and create the folder of the output files.

    Args:
        pattern: The path of an input file, with wildcards or without.
        folder: The folder of the output files.
        size: The number of tickets in a shard.

    Raises:
        ValueError: No file matches the pattern, or an earlier call with another size wrote output
            files to the folder.
    """
    root = _fixed_folder(pattern)
    paths = sorted(
        path
        # Use `glob`, because `Path.glob` would find hidden files too.
        for path in glob(pattern, recursive=True)  # noqa: PTH207
        if Path(path).is_file() and Path(folder) not in Path(path).parents
    )
    if not paths:
        raise ValueError(f"there is no file {pattern} on the worker that looked for it")
    make_folder(Path(folder))
    digests = _digests_by_label(folder, size)
    inputs = [InputFile(path=path, label=_label(os.path.relpath(path, root))) for path in paths]
    return [evolve(each, digests=frozenset(digests.get(each.label, ()))) for each in inputs]


def locate(name: str, path: str | os.PathLike[str]) -> str:
    """
    Return the absolute path of a table, a pattern or a folder.

    Args:
        name: The name of the argument, for the error message.
        path: The value of the argument.

    Raises:
        ValueError: The path is a URL, such as the URL of a bucket.
    """
    text = os.fspath(path)
    if "://" in text:
        raise ValueError(
            f"{name} is a path that all workers can open, got {text!r}; mount that storage"
        )
    return str(Path(text).absolute())


def digest_of(path: str, reading: str) -> str:
    """
    Return a digest of the content of a file.

    Args:
        path: The file.
        reading: Any text that says how tickets are read from the file. The digest also depends on
            this text.
    """
    with Path(path).open("rb") as file:
        digest = blake2b(digest_size=_DIGEST_BYTES, person=b"modelslab parts")
        digest.update(f"{reading}\0".encode())
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_unchanged(file: InputFile, digest: str) -> None:
    """
    Check that an input file has not changed since its first output file was written.

    `digest` is what `digest_of` returns for the file now.

    Raises:
        UnusableTable: An output file was made from other content, or its tickets were read in
            another way.
    """
    if file.digests - {digest}:
        raise UnusableTable(
            f"{file.path} is not what it was when its first parts were written, or it is read in "
            "another way; give another folder, or delete the parts of that file: "
            f"part-{file.label}-*"
        )


def _fixed_folder(pattern: str) -> str:
    """Return the deepest folder of a pattern whose path contains no wildcard."""
    folder = Path(pattern).parent
    while has_magic(str(folder)):
        folder = folder.parent
    return str(folder)


def _label(name: str) -> str:
    """Return the label of the input file with this name. Different names get different labels."""
    label = _OTHER_CHARACTERS.sub("_", name)[-_MAX_LABEL_CHARS:]
    return (
        label
        if label == name
        else f"{label}-{blake2b(os.fsencode(name), digest_size=4).hexdigest()}"
    )


def _digests_by_label(folder: str, size: int) -> dict[str, set[str]]:
    """
    Return the digests in the names of a folder's output files, keyed by label.

    Also remove old hidden files, which killed processes have left behind.

    Raises:
        ValueError: The name of an output file shows a shard size other than `size`.
    """
    digests = defaultdict[str, set[str]](set)
    with os.scandir(folder) as entries:
        for entry in entries:
            max_age_s = _MAX_HIDDEN_AGES_S.get(Path(entry.name).suffix)
            if entry.name.startswith(".part-") and max_age_s is not None:
                remove_if_old(entry, max_age_s)
            elif part := _PART.fullmatch(entry.name):
                if int(part["size"]) != size:
                    raise ValueError(
                        f"{folder} has parts of shards of {part['size']} tickets, got "
                        f"shard={size}; give shard={part['size']}, or another folder"
                    )
                digests[part["label"]].add(part["digest"])
    return digests
