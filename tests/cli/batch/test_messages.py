"""The messages of `batch` about problems: they name options and say what to do."""

import asyncio

import pytest

from modelslab_async import AuthenticationError, Batch, DownloadError
from modelslab_async._cli.exit_codes_and_advice import explain, explain_unsaved
from modelslab_async.emulator import ScriptedReply


def add(path, *tickets):
    """Write tickets to a journal, as a program with more families would."""

    async def write():
        async with Batch.open(path) as batch:
            await batch.add(tickets)

    asyncio.run(write())


def test_refused_link_names_the_option_everywhere(here, emulator):
    """The option that allows the link is named by the run, by `status` and in the report."""
    emulator.add_job("images:7001", fails=False)
    run = here("run", "-", "--out", "out", given="images:7001")
    assert 8 == run.returncode
    assert 0 == here("report", "--html", "page.html").returncode
    page = (here.folder / "page.html").read_text(encoding="utf-8")
    for text in (run.stdout, here("status").stdout, page):
        assert "allow it with --allow-private" in text
        assert "allow_private=True" not in text


def test_too_large_file_names_the_option(here, emulator, program, tmp_path):
    """The message names an option that exists and helps."""
    emulator.add_job("images:7011", fails=False)
    arguments = ("run", "-", "--out", "out", "--allow-private")
    run = here(*arguments, "--max-bytes", "10", given="images:7011")
    assert 8 == run.returncode
    assert "allow more with --max-bytes" in run.stdout
    assert 0 == here(*arguments, "--link-timeout", "0", given="").returncode
    single = program("download", "images:7011", "--out", str(tmp_path), "--max-bytes", "10")
    assert (8, True) == (single.returncode, "--allow-private" in single.stderr)


@pytest.mark.parametrize(
    ("argument", "explained"),
    [
        ("", "no."),
        ("output", "no"),
        ("max_bytes", "no; allow more with --max-bytes"),
        ("allow_private", "no; if that is intended, allow it with --allow-private"),
    ],
)
def test_advice_names_options_and_no_arguments(argument, explained):
    """The advice of an error that names an argument of the library names an option here."""
    assert explained.rstrip(".") == explain(DownloadError("no.", argument=argument)).rstrip(".")
    assert explained.rstrip(".") == explain_unsaved("no", argument)


def test_key_advice_names_only_the_variable():
    """There is no option for a key."""
    assert "no; check the key in MODELSLAB_API_KEY" == explain(AuthenticationError("no."))


def test_quiet_reports_failures_and_reasons(here, emulator):
    """`--quiet` prints how many tickets failed and why, and the next run mentions them."""
    for n in (7021, 7022):
        emulator.add_job(("images", n), fails=True)
    emulator.script("images:7023", [ScriptedReply(200, b'{"status": "processing"}')])
    ids = "images:7021\nimages:7022\nimages:7023\n"
    run = here("run", "-", "--quiet", "--timeout", "5", given=ids)
    assert (7, "") == (run.returncode, run.stdout)
    assert "2 failed, 1 given up" in run.stderr
    assert "2 x Failed, Try Again" in run.stderr
    emulator.script("images:7023", [ScriptedReply(200, b'{"status": "success", "output": []}')])
    again = here("run", "--quiet")
    assert (1, 1) == (again.returncode, again.stderr.count("\n"))
    assert "2 tickets failed in other runs; `batch export` lists why" in again.stderr


def test_family_unknown_to_the_program_leaves_other_tickets_unaffected(here, emulator):
    """All other tickets are run, and one line says what to do about the rest."""
    emulator.add_job("images:7031", fails=False)
    add(here.folder / "run.db", "their_own:1", "images:7031")
    run = here("run", "--quiet")
    assert (2, 1) == (run.returncode, run.stderr.count("\n"))
    assert "unknown family 'their_own'" in run.stderr
    assert "a program in Python can run more" in run.stderr
    assert '"success": 1' in here("status", "--json").stdout


def test_journal_that_needs_another_key_is_reported(here):
    """A journal may hold tickets that need a key which is not set."""
    add(here.folder / "run.db", "images:7041")
    run = here("run", MODELSLAB_API_KEY=None, MODELSLAB_ENTERPRISE_API_KEY="another-key")
    assert (3, 1) == (run.returncode, run.stderr.count("this family needs the standard key"))
    assert "api_key=" not in run.stderr


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", " PostgreSQL"])
@pytest.mark.parametrize(
    "command",
    [
        ("status", "--journal", "ADDRESS"),
        ("run", "ids.txt", "--journal", "ADDRESS"),
        ("copy", "ADDRESS", "new.db"),
        ("copy", "run.db", "ADDRESS"),
    ],
    ids=" ".join,
)
def test_url_that_is_no_address_is_told_and_not_repeated(here, command, scheme):
    """It may hold a password. Nothing is created, and the message says how to write an address."""
    (here.folder / "ids.txt").write_text("images:1\n")
    (here.folder / "run.db").touch()
    before = sorted(here.folder.rglob("*"))
    address = f"{scheme}://app:a-secret@db.example/production?batch=cats"
    done = here(*(address if word == "ADDRESS" else word for word in command))
    assert 2 == done.returncode, done.stderr
    assert "got a URL" in done.stderr
    assert "begins with 'postgresql://'" in done.stderr
    assert "a-secret" not in done.stdout + done.stderr
    assert before == sorted(here.folder.rglob("*"))
