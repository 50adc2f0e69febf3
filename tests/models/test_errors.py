"""Errors: one tree, drawn where it is made, whose members carry their data everywhere."""

import copy
import inspect
import pickle

import pytest

import modelslab_async
from modelslab_async import (
    AuthenticationError,
    Failed,
    GenerationFailed,
    ModelsLabError,
    Processing,
    RateLimited,
    Ticket,
    TicketNotFound,
    TransportError,
    WaitTimeout,
    from_dict,
    to_dict,
)
from modelslab_async._models import download_errors, errors, journal_errors

TICKET = Ticket("images", 1)


def drawn():
    """The tree of the docstring, as pairs of a name and its depth."""
    lines = inspect.cleandoc(errors.__doc__).splitlines()[2:]
    return [
        (line.lstrip("│├└─ ").split()[0], (len(line) - len(line.lstrip("│├└─ "))) // 4 - 1)
        for line in lines
        if line.strip()
    ]


def test_the_tree_is_the_one_that_is_drawn():
    """Every class stands where the docstring draws it, and none is left out."""
    line = {}
    for name, depth in drawn():
        line[depth] = name
        if depth:
            parent = getattr(modelslab_async, line[depth - 1])
            assert issubclass(getattr(modelslab_async, name), parent)
    names = {name for name, _ in drawn()}
    public = [getattr(modelslab_async, name) for name in modelslab_async.__all__]
    kinds = [kind for kind in public if inspect.isclass(kind) and issubclass(kind, ModelsLabError)]
    assert names == {kind.__name__ for kind in kinds}
    modules = (errors, download_errors, journal_errors)
    defined = {name for module in modules for name, kind in vars(module).items() if kind in kinds}
    assert names == defined


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow", ticket=TICKET, status_code=429, server_message="x", retry_after=3.0),
        TransportError("cut", ticket=TICKET, may_have_been_sent=False),
        WaitTimeout("late", ticket=TICKET, last=Processing(ticket=TICKET)),
        GenerationFailed.of(Failed(ticket=TICKET, message="no", reason="not_found", raw={"a": 1})),
    ],
)
@pytest.mark.parametrize("way", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_keep_their_data(error, way):
    """A copied or pickled error tells the same."""
    twin = way(error)
    assert type(error) is type(twin)
    assert vars(error) == vars(twin)
    assert str(error) == str(twin)
    assert "images:1" in str(twin)


def test_an_error_can_be_told_of_another_ticket():
    """Each who waits gets an error object of its own."""
    error = RateLimited("slow", ticket=TICKET, retry_after=3.0)
    other = error.with_ticket(Ticket("video", 2))
    assert ("video:2: slow", 3.0) == (str(other), other.retry_after)
    assert "images:1: slow" == str(error)
    assert error.with_ticket(TICKET) is not error
    error.__cause__ = OSError("cut")
    assert error.__cause__ is error.with_ticket(TICKET).__cause__


def test_kinds_that_python_knows():
    """A timeout is a TimeoutError; what is not found is a failed generation."""
    assert issubclass(WaitTimeout, TimeoutError)
    failed = Failed(ticket=TICKET, reason="not_found")
    assert isinstance(GenerationFailed.of(failed), TicketNotFound)
    assert type(GenerationFailed.of(Failed(ticket=TICKET))) is GenerationFailed


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            AuthenticationError("Invalid API key.", ticket=TICKET),
            "images:1: Invalid API key; check the key in MODELSLAB_API_KEY or api_key",
        ),
        (
            GenerationFailed.of(
                Failed(ticket=TICKET, message="Request not found", reason="not_found")
            ),
            f"images:1: Request not found; {TicketNotFound.advice}",
        ),
        (GenerationFailed.of(Failed(ticket=TICKET, message="no.")), "images:1: no."),
    ],
)
def test_an_error_says_what_to_do(error, said):
    """Where that is the same for all of its kind; the server's words stay as they came."""
    assert said == str(error)
    assert error.advice not in error.message or not error.advice


def test_advice_is_given_once(virtually, world):
    """An error that is stored and read back says it once, and so does one that goes on."""

    async def main():
        async with world(emulated={"keys": ["another key"]}) as here:
            [outcome] = await here.client.gather(["images:1"])
        twin = from_dict(to_dict(outcome)).cause
        for error in (outcome.cause, twin, twin.with_ticket(Ticket("images", 2))):
            assert 1 == str(error).count(error.advice)

    virtually(main)
