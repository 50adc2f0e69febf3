"""The report of a batch: one page that loads and runs nothing."""

import os
import re
import shutil
import sqlite3
from contextlib import closing
from html.parser import HTMLParser

import pytest

from modelslab_async._cli.report.svg_plots import bars, histogram, nice_step, timeline
from modelslab_async.emulator import ScriptedReply

from ..conftest import Program

HOSTILE = "<script>alert(1)</script> \"' & \u202e\x1b[31m"


class Page(HTMLParser):
    """The elements and texts of a page. It fails if an element is not closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.links, self._open = set(), [], [], []
        self.feed(text)
        assert [] == self._open

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag, _attrs):
        self.elements.add(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def recorded_journal(service, forked, tmp_path_factory):
    """A batch with successes, files, failures with hostile messages, and an unresolved ticket."""
    program, emulator = Program(service.base_url, forked), service.emulator
    folder = tmp_path_factory.mktemp("batch")
    tickets = [str(emulator.add_job(("images", n), fails=False)) for n in range(6001, 6011)]
    failed = b'{"status": "failed", "message": %s}'
    for number, word in ((6011, b'"%s"'), (6012, b'"%s"'), (6013, b'"Failed, Try Again"')):
        words = HOSTILE.replace('"', '\\"').replace("\x1b", "\\u001b").encode()
        text = failed % (word % words if b"%s" in word else word)
        emulator.script(f"images:{number}", [ScriptedReply(200, text)])
        tickets.append(f"images:{number}")
    emulator.script("images:6014", [ScriptedReply(200, b'{"status": "processing"}')])
    unsaved = b'{"status": "success", "generationTime": 2.5, "output": ["neither link nor bytes"]}'
    emulator.script("images:6015", [ScriptedReply(200, unsaved)])
    soon = b'{"status": "processing", "eta": 0.1}'
    emulator.script("images:6016", [ScriptedReply(200, soon), ScriptedReply(200, unsaved)])
    tickets += [f"images:{number}" for number in (6015, 6016)]
    arguments = ("batch", "run", "-", "--journal", str(folder / "run.db"))
    arguments += ("--out", str(folder / "out"), "--allow-private")
    program(*arguments, given="\n".join(tickets))
    # Only the ticket that never ends has a timeout, which no other one needs to beat.
    program(*arguments, "--timeout", "1", given="images:6014")
    return folder / "run.db"


@pytest.fixture
def journal(recorded_journal, tmp_path):
    """A copy of the recorded journal."""
    return shutil.copy(recorded_journal, tmp_path / "run.db")


def test_report_page_shows_counts_and_reasons_and_loads_nothing(program, journal, tmp_path):
    """The page has all counts and reasons, loads and runs nothing, and escapes every text."""
    run = program("batch", "report", "--html", str(tmp_path / "r.html"), "--journal", str(journal))
    assert (0, "") == (run.returncode, run.stdout), run.stderr
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", text))
    assert ("16", "12", "3", "1", "0", "10", "2") == tuple(
        counts[name]
        for name in ("tickets", "succeeded", "failed", "given up", "open", "files", "not saved")
    )
    assert {"script", "img", "link", "iframe"}.isdisjoint(page.elements)
    assert [] == page.links
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
    assert any("<script>alert(1)</script>" in each for each in page.texts)
    assert "\x1b" not in text
    assert "\u202e" not in text
    titles = re.findall(r"<h2>([^<]+)</h2>", text)
    assert any("neither a link" in each for each in page.texts)
    for title in (
        "Over time",
        "Longest possible delay",
        "Generation time",
        "Polls",
        "From outcome to files",
        "What went wrong",
    ):
        assert title in titles
    assert program.environment["MODELSLAB_API_KEY"] not in text


def test_report_without_outcomes_has_no_plots(program, journal, tmp_path):
    """A journal without outcomes gives a page with counts and no plots."""
    with closing(sqlite3.connect(journal)) as db:
        db.executescript("DELETE FROM files; DELETE FROM saves; DELETE FROM replies;")
        db.execute("UPDATE tickets SET state = 0, completed_at = NULL")
        db.commit()
    arguments = ("batch", "report", "--html", str(tmp_path / "r.html"))
    assert 0 == program(*arguments, "--journal", str(journal)).returncode
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Nothing has ended yet." in text
    assert "<svg" not in text


def test_unwritable_report_is_reported_in_one_line(program, journal, tmp_path):
    """A page that cannot be written ends with one line that says so."""
    arguments = ("batch", "report", "--html", str(tmp_path / "nowhere" / "r.html"))
    run = program(*arguments, "--journal", str(journal))
    assert (2, 1) == (run.returncode, run.stderr.count("\n"))
    assert "cannot be written" in run.stderr


def test_report_removes_the_old_draft_of_a_killed_command(program, journal, tmp_path):
    """It is hidden beside the page, so a user would hardly find it."""
    draft = tmp_path / ".r.html.0123456789abcdef.draft"
    draft.write_text("half")
    os.utime(draft, (0, 0))
    page = tmp_path / "r.html"
    run = program("batch", "report", "--html", str(page), "--journal", str(journal))
    assert 0 == run.returncode, run.stderr
    assert [page] == list(tmp_path.glob("*r.html*"))


@pytest.mark.parametrize(
    "values", [[0.0], [0.0] * 50, [3.0], [1, 2, 2, 3], [*range(1000), 1e9], [1e-9, 2e-9]]
)
def test_every_value_is_in_a_bar(values):
    """The bars of a histogram count every value, also those far above the others."""
    counts = re.findall(r": ([\d,]+)</title>", histogram(values, "seconds"))
    assert len(values) == sum(int(count.replace(",", "")) for count in counts)
    assert len(counts) < 100


@pytest.mark.parametrize(("span", "step"), [(0, 1.0), (10, 2.0), (99, 20.0), (0.3, 0.1), (7, 2.0)])
def test_axis_steps_are_round_numbers(span, step):
    """A step is one, two or five times a power of ten, with at most five steps."""
    assert pytest.approx(step) == nice_step(span, 5)


def test_plots_are_well_formed_and_escape_names():
    """A series with one time and names with markup give well-formed plots."""
    for plot in (
        timeline([("good", "good", [0.0]), ("<b>", "wrong", [])]),
        timeline([("good", "good", [86400.0 * 30])]),
        bars([("<b>" * 100, 5), ("x", 1)]),
    ):
        assert "b" not in Page(plot).elements
