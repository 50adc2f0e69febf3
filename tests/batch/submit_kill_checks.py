"""What `submit_kill.py` checks: a table whose programs were killed, by what the server received."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kill_checks import check_file, lines
from kill_journal import Location

from modelslab_async import Batch, Failed, Ticket
from modelslab_async.journal import PendingSubmit

RESULTS = ("Saved", "Failed")


def check_paid_once(folder: Path) -> Counter[str]:
    """No row was received twice."""
    received = Counter(prompt for (prompt,) in lines(folder, "received"))
    assert all(count == 1 for count in received.values()), f"paid twice: {received.most_common(3)}"
    return received


def check_told(folder: Path, names: Iterable[str], *, rows: int, uncertain: set[str]) -> None:
    """Programs that ended by themselves have yielded every row once, with a result or uncertain."""
    every_row = Counter(f"no.{n}" for n in range(rows))
    for name in names:
        told = lines(folder, f"told-{name}")
        assert every_row == Counter(prompt for prompt, _ in told), f"{name} yielded other rows"
        without_result = {prompt for prompt, kind in told if kind not in RESULTS}
        assert uncertain == without_result, f"{name}: {uncertain ^ without_result}"


def check_told_uncertain(folder: Path, uncertain: set[str]) -> None:
    """What any program called uncertain never got a reply, because its program was killed."""
    called = {prompt for prompt, kind in lines(folder, "told-*") if kind == "SubmitUncertain"}
    assert called <= uncertain, f"called uncertain too early: {called - uncertain}"


def prompt_of(submit: PendingSubmit) -> str:
    """The prompt of a submit: a program has it in the key, the command line in the columns."""
    return str(submit.columns.get("prompt") or f"no.{(submit.key or '').removeprefix('row ')}")


async def check_rows(folder: Path, journal: Location, rows: int) -> set[str]:
    """Every row has files, a failure or an uncertain submit. Return the uncertain ones."""
    prompts = {ticket: prompt for prompt, ticket in lines(folder, "started")}
    ended: Counter[str] = Counter()
    async with Batch.open(journal) as batch:
        async for recorded in batch.journal.recorded_outcomes():
            prompt = prompts[str(recorded.outcome.ticket)]
            ended[prompt] += 1
            assert recorded.files or isinstance(recorded.outcome, Failed), f"{prompt} has no file"
            for file in recorded.files:
                check_file(file)
        uncertain = {*map(prompt_of, await batch.uncertain())}
        assert (await batch.report()).open == 0
    assert max(ended.values()) == 1
    assert {f"no.{n}" for n in range(rows)} == {*ended, *uncertain}, "a row was lost"
    assert rows == len(ended) + len(uncertain), f"{len(ended)} ended, {len(uncertain)} uncertain"
    parts = [path for path in (folder / "out").iterdir() if "part" in path.name]
    assert [] == parts, "parts of files were left"
    return uncertain


async def settle(folder: Path, journal: Location) -> None:
    """Record for each uncertain submit whether the server received it."""
    ticket_of = dict(lines(folder, "started"))
    async with Batch.open(journal) as batch:
        for submit in await batch.uncertain():
            prompt = prompt_of(submit)
            if prompt in ticket_of:
                await batch.journal.confirm(submit.track_id, Ticket.parse(ticket_of[prompt]))
            else:
                await batch.journal.withdraw(submit.track_id)
