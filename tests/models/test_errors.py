"""Errors: the drawn tree is complete, and each error keeps its data when it is copied."""

import copy
import copyreg
import importlib
import inspect
import pickle
import pkgutil

import pytest

import modelslab_async
from modelslab_async import (
    AuthenticationError,
    DownloadError,
    Failed,
    GenerationFailed,
    JournalLocked,
    ModelsLabError,
    Processing,
    RateLimited,
    Ticket,
    TicketNotFound,
    TransportError,
    UnusableFile,
    WaitTimeout,
    _models,
    from_dict,
    to_dict,
)
from modelslab_async._models import errors

TICKET = Ticket("images", 1)


def drawn_tree():
    """The tree in the docstring, as pairs of a class name and its depth."""
    lines = inspect.cleandoc(errors.__doc__).splitlines()[2:]
    return [
        (line.lstrip("│├└─ ").split()[0], (len(line) - len(line.lstrip("│├└─ "))) // 4 - 1)
        for line in lines
        if line.strip()
    ]


def test_docstring_draws_the_whole_error_tree():
    """Every error class has its place in the drawn tree, and none is missing."""
    ancestors = {}
    for name, depth in drawn_tree():
        ancestors[depth] = name
        if depth:
            parent = getattr(modelslab_async, ancestors[depth - 1])
            assert issubclass(getattr(modelslab_async, name), parent)
    names = {name for name, _ in drawn_tree()}
    public = [getattr(modelslab_async, name) for name in modelslab_async.__all__]
    kinds = [kind for kind in public if inspect.isclass(kind) and issubclass(kind, ModelsLabError)]
    assert names == {kind.__name__ for kind in kinds}
    modules = [
        importlib.import_module(f"{_models.__name__}.{module.name}")
        for module in pkgutil.iter_modules(_models.__path__)
    ]
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
@pytest.mark.parametrize("duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_copied_or_pickled_error_keeps_its_data(error, duplicate):
    """A copy has the same attributes and the same text."""
    clone = duplicate(error)
    assert type(error) is type(clone)
    assert vars(error) == vars(clone)
    assert str(error) == str(clone)
    assert "images:1" in str(clone)


def test_copy_is_not_made_by_what_pickles_errors(monkeypatch):
    """tblib, which Dask installs, makes a copy that shares its attributes with the original."""

    def share(error):
        clone = type(error)(error.message)
        clone.__dict__ = error.__dict__
        return clone

    monkeypatch.setitem(copyreg.dispatch_table, WaitTimeout, lambda error: (share, (error,)))
    error = WaitTimeout("slow", ticket=Ticket("images", "1"))
    clone = copy.copy(error)
    clone.ticket = Ticket("video", "2")
    assert ("images:1: slow", "video:2: slow") == (str(error), str(clone))
    assert (("slow",), WaitTimeout) == (clone.args, type(clone))


def test_with_ticket_returns_a_copy_for_that_ticket():
    """Each waiter gets its own error object, with the same cause."""
    error = RateLimited("slow", ticket=TICKET, retry_after=3.0)
    other = error.with_ticket(Ticket("video", 2))
    assert ("video:2: slow", 3.0) == (str(other), other.retry_after)
    assert "images:1: slow" == str(error)
    assert error.with_ticket(TICKET) is not error
    error.__cause__ = OSError("cut")
    assert error.__cause__ is error.with_ticket(TICKET).__cause__


def test_error_classes_have_expected_bases():
    """A wait timeout is a TimeoutError, and a missing ticket is a failed generation."""
    assert issubclass(WaitTimeout, TimeoutError)
    failed = Failed(ticket=TICKET, reason="not_found")
    assert isinstance(GenerationFailed.of(failed), TicketNotFound)
    assert type(GenerationFailed.of(Failed(ticket=TICKET))) is GenerationFailed


@pytest.mark.parametrize(
    ("error", "text"),
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
def test_error_text_ends_with_advice(error, text):
    """The advice of the class follows the message; the server's words stay as they came."""
    assert text == str(error)
    assert error.advice not in error.message or not error.advice


def test_advice_appears_once(virtually, world):
    """An error that is stored, read back and copied still shows its advice once."""

    async def main():
        async with world(emulated={"keys": ["another key"]}) as here:
            [outcome] = await here.client.gather(["images:1"])
        clone = from_dict(to_dict(outcome)).cause
        for error in (outcome.cause, clone, clone.with_ticket(Ticket("images", 2))):
            assert 1 == str(error).count(error.advice)

    virtually(main)


@pytest.mark.parametrize(
    ("argument", "advice"),
    [
        ("", ""),
        ("allow_private", "; if that is intended, allow it with allow_private=True"),
        ("max_bytes", "; allow more with max_bytes=..."),
        ("output", "; if the family makes such files, say so in its Family(output=...)"),
    ],
)
def test_download_error_advises_the_argument_that_allows_the_output(argument, advice):
    """The message itself names no argument, so that the command line can name an option."""
    error = DownloadError("the file is refused", argument=argument)
    assert "the file is refused" == error.message
    assert f"the file is refused{advice}" == str(error)


def test_journal_error_names_its_file():
    """Without a file the text is the message alone."""
    assert "a.journal: locked" == str(JournalLocked("locked", path="a.journal"))
    assert "locked" == str(JournalLocked("locked"))


def test_unusable_file_names_its_parameter():
    """It is a ValueError too, and keeps its message."""
    error = UnusableFile("empty", parameter="init_image")
    assert isinstance(error, ValueError)
    assert ("empty", "init_image") == (error.message, error.parameter)
