"""Files that a run misses at its end, and the advice for those that other hosts saved."""

import shlex
from collections import Counter

import pytest

from modelslab_async import Ticket
from modelslab_async._cli.batch.missing_saved_files import MissingFiles, other_hosts_message
from modelslab_async.journal import RecordedFile

ADDRESS = "postgresql://app:a-secret-password@db.example/production?batch=two%20cats"


def record(path, size=3):
    return RecordedFile(
        ticket=Ticket("images", 1),
        output_index=0,
        path=str(path),
        sha256="ab" * 32,
        size=size,
        url="https://a",
        recorded_at=9.0,
    )


@pytest.mark.parametrize("folder", ["where it was saved", "given"])
def test_changed_file_of_another_host_is_missing(tmp_path, folder):
    """`verify` calls it changed too, whether it is in this run's folder or where it was saved."""
    saved, given = tmp_path / "saved", tmp_path / "given"
    for each in (saved, given):
        each.mkdir()
    (saved if folder == "where it was saved" else given).joinpath("a.png").write_bytes(b"other")
    files = MissingFiles(given, ADDRESS)
    files.check([(record(saved / "a.png"), "north")])
    assert (1, {}) == (files.count, files.on_other_hosts)


def test_file_whose_name_this_disk_refuses_is_on_another_host(tmp_path):
    """The limit of the other host's file system may be higher."""
    files = MissingFiles(tmp_path, ADDRESS)
    files.check([(record(tmp_path / ("a" * 5000)), "north")])
    assert (0, {"north": 1}) == (files.count, files.on_other_hosts)


def test_advice_names_the_journal():
    """The command can be copied. Only the password has to be added."""
    message = other_hosts_message(Counter({"the north": 2}), ADDRESS)
    words = shlex.split(message.split("`")[3])
    assert "MODELSLAB_HOST_NAME=the north" == words[0]
    assert ["modelslab-async", "batch", "verify", "--repair", "--journal"] == words[1:6]
    assert words[6].endswith("db.example/production?batch=two%20cats")
    assert "secret" not in message
