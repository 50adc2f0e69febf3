"""The commands of `batch` with a journal in a database: they are the same as with a file."""

import json

import pytest
from journal_states import run_script, run_sql, states

from modelslab_async import SubmitUncertain
from modelslab_async._cli.batch.uncertain_advice import with_command

REALTIME = "realtime/text2img"
PASSWORD = "a-secret-password"


def test_commands_share_a_batch_in_a_database(here, emulator, tmp_path, address):
    """One command runs it, the others read it, and none shows the password."""
    tickets = [str(emulator.add_job(("images", n), fails=n == 5003)) for n in range(5001, 5006)]
    (tmp_path / "ids.txt").write_text("\n".join(tickets))
    journal = ("--journal", address)
    run = here("run", "ids.txt", "--out", "out", "--allow-private", *journal)
    assert 1 == run.returncode, run.stderr
    assert "5 of 5 completed (4 succeeded, 1 failed, 4 saved)" in run.stdout
    assert {*tickets} == {*states(address)}
    status = here("status", "--json", *journal)
    assert (4, 1, 4) == tuple(
        json.loads(status.stdout)[name] for name in ("success", "failed", "saved")
    )
    export = here("export", "out.jsonl", *journal)
    assert 5 == len((tmp_path / "out.jsonl").read_text().splitlines())
    report = here("report", "--html", "page.html", *journal)
    assert 0 == report.returncode, report.stderr
    (tmp_path / "out" / "images-5001-0.png").unlink()
    verify = here("verify", "--repair", *journal)
    assert 8 == verify.returncode
    retry = here("retry", "--failed", "--out", "out", "--allow-private", *journal)
    assert 1 == retry.returncode
    assert (tmp_path / "out" / "images-5001-0.png").exists()
    printed = [result.stdout + result.stderr for result in (run, status, export, report, retry)]
    assert PASSWORD not in "".join((*printed, (tmp_path / "page.html").read_text()))


def test_files_of_another_host_are_not_missing(here, emulator, tmp_path, address):
    """`verify` names the host, and runs on others succeed. Under its name, they are missing."""
    tickets = [str(emulator.add_job(("images", n), fails=False)) for n in range(5011, 5013)]
    journal = ("--journal", address)
    save = ("--out", "out", "--allow-private", *journal)
    north, south = ({"MODELSLAB_HOST_NAME": name} for name in ("north", "south"))
    assert 0 == here("run", "-", *save, given="\n".join(tickets), **north).returncode
    (tmp_path / "out").rename(tmp_path / "disk of north")
    advice = "2 files are not here but on another host: north (2); `batch verify` checks them there"
    run = here("run", *save, "--quiet", **south)
    assert 0 == run.returncode, run.stderr
    assert advice in run.stderr
    verify = here("verify", "--repair", *journal, **south)
    paths = [f"{tmp_path}/out/images-{n}-0.png" for n in range(5011, 5013)]
    assert 0 == verify.returncode, verify.stderr
    assert [f"elsewhere north:{path}" for path in paths] == verify.stdout.splitlines()
    assert "0 files are unchanged, 0 are not" in verify.stderr
    assert advice in verify.stderr
    records = [
        json.loads(line) for line in here("verify", "--json", *journal, **south).stdout.splitlines()
    ]
    assert [
        {"state": "elsewhere", "ticket": ticket, "path": path, "host": "north"}
        for ticket, path in zip(tickets, paths, strict=True)
    ] == records
    assert 0 == here("run", *save, **south).returncode
    assert not (tmp_path / "out").exists()
    assert 8 == here("verify", "--repair", *journal, **north).returncode
    assert 0 == here("run", *save, **south).returncode
    assert 0 == (found := here("verify", *journal, **south)).returncode
    assert ("", True) == (found.stdout, "2 files are unchanged" in found.stderr)


def test_submit_to_a_database_resumes(here, emulator, address):
    """The rows are compared with the batch, and none is submitted twice."""
    before = len(emulator.submits)
    command = ("submit", "--endpoint", REALTIME, "-", "--journal", address)
    table = "key,prompt\na,a cat\nb,a dog\n"
    dry = here(*command, "--dry-run", given=table)
    assert "2 would be submitted" in dry.stderr
    for _ in range(2):
        result = here(*command, given=table)
        assert 0 == result.returncode, result.stderr
    assert 2 == len(emulator.submits) - before
    assert "0 would be submitted" in here(*command, "--dry-run", given=table).stderr


def test_uncertain_submit_in_a_database_is_settled(here, address):
    """The advice names the journal without its password."""
    assert 0 == here("run", "-", "--journal", address, given="").returncode
    run_sql(
        address,
        "INSERT INTO submits (batch, track_id, endpoint, payload_hash, recorded_at) "
        "SELECT max(batch), '77', 'realtime/text2img', '0', 1e9 FROM batches",
    )
    listed = here("uncertain", "--journal", address)
    assert "77  realtime/text2img" in listed.stdout
    assert "batch uncertain 77 --journal 'postgresql://tests@/" in listed.stderr
    assert PASSWORD not in listed.stderr
    assert 0 == here("uncertain", "77", "--not-started", "--journal", address).returncode
    assert "" == here("uncertain", "--journal", address).stdout


def test_advice_names_the_database_without_its_password():
    """The command can be used where the password is known from elsewhere."""
    error = SubmitUncertain("no reply", track_id="77")
    address = "postgresql://app:hidden@db:5432/app?password=hidden&batch=cats"
    text = str(with_command(error, address))
    assert "--journal 'postgresql://app@db:5432/app?batch=cats'" in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda address: address, "there is no journal postgresql://tests@"),
        (lambda address: address.partition("&batch")[0], "names its batch"),
        (lambda address: f"{address}#x", "begins with postgresql://"),
    ],
)
def test_missing_batch_is_not_created_by_reading(here, address, changed, message):
    """The message says what to write, without the password."""
    for command in (("status",), ("export", "-"), ("run",)):
        result = here(*command, "--journal", changed(address))
        assert 2 == result.returncode
        assert message in " ".join(result.stderr.split())
        assert PASSWORD not in result.stderr


def test_missing_driver_is_named(here, without, address):
    """The message says what to install."""
    result = here("status", "--journal", address, PYTHONPATH=without("asyncpg"))
    assert 2 == result.returncode
    assert "modelslab-async[postgres]" in result.stderr


def test_schema_prints_what_a_run_would_create(here, address, emulator):
    """After it, a run finds its tables."""
    path = f"{address}&schema=from%20schema"
    run_sql(address, 'DROP SCHEMA IF EXISTS "from schema" CASCADE')
    printed = here("schema", "--schema", "from schema")
    assert 0 == printed.returncode
    run_script(address, printed.stdout)
    ticket = emulator.add_job("images:5100")
    assert 0 == here("run", "-", "--journal", path, given=str(ticket)).returncode
    assert [(1,)] == run_sql(address, 'SELECT count(*) FROM "from schema".replies')
    run_sql(address, 'DROP SCHEMA "from schema" CASCADE')
