"""What `batch verify` prints about files that root cannot make unreadable in a test."""

import json
from pathlib import Path

import pytest
from attrs import evolve

from modelslab_async import SavedFile, Ticket, Verified
from modelslab_async._cli.batch import journal_commands

FILE = SavedFile(
    ticket=Ticket("images", "1"),
    n=0,
    path=Path("out/images-1-0.png"),
    sha256="0" * 64,
    size=1,
    url="https://a.test/0.png",
)
CHANGED = evolve(FILE, path=Path("out/images-1-1.png"), n=1)


@pytest.fixture
def verify(monkeypatch):
    """Print the report about an unreadable file and a changed one. Return the exit code."""
    found = Verified(
        unchanged=(),
        changed=(FILE, CHANGED),
        missing=(),
        unreadable={FILE: "Permission denied"},
    )
    monkeypatch.setattr(journal_commands, "run_async", lambda _: found)
    monkeypatch.setattr(journal_commands, "require_journal", lambda _: None)

    def call(**options):
        arguments = {"folder": None, "path": Path("run.db"), "repair": True, "as_json": False}
        return journal_commands.verify.callback(**arguments | options)

    return call


def test_unreadable_file_is_printed_with_the_reason(verify, capsys):
    """A message says what to do, because the next run could not save the file either."""
    assert 8 == verify()
    printed = capsys.readouterr()
    assert [f"unreadable {FILE.path}: Permission denied", f"changed {CHANGED.path}"] == (
        printed.out.splitlines()
    )
    assert "0 files are unchanged, 2 are not" in printed.err
    assert (
        "1 file cannot be read; before the next run, let this program read it, or move it away"
        in printed.err
    )


def test_unreadable_file_is_a_record_with_the_reason(verify, capsys):
    """The other records have no reason."""
    assert 8 == verify(as_json=True)
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("changed", "Permission denied"), ("changed", None)] == [
        (record["state"], record.get("reason")) for record in records
    ]
