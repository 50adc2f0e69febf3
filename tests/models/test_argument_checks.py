"""Arguments: an invalid one is refused at once, with a message that says what is valid."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest

from modelslab_async import Batch, Client, Downloads, Ticket
from modelslab_async._models.argument_checks import (
    check_callback,
    check_count,
    check_iterable,
    check_members,
    check_nonnegative_seconds,
    check_positive_seconds,
    check_rate,
    check_tickets,
    check_type,
    new_tickets_of,
    tickets_of,
)

KEY = "a-test-key-1234"


def link_timeout(value):
    check_nonnegative_seconds("timeout", value, optional=True)


def queue(value):
    check_count("queue", value, unit="slots", optional=True)


def rate(value):
    check_rate("rate", value, unit="polls")


def size(value):
    check_count("size", value, unit="bytes", least=0, most=2**63 - 1)


def lease(value):
    check_positive_seconds("lease", value)


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (queue, [None, 1, 15]),
        (size, [0, 2**63 - 1]),
        (rate, [None, 0.1, 5]),
        (lease, [0.001, 3, math.inf, Fraction(1, 3)]),
        (link_timeout, [None, 0, 0.0, 5, math.inf]),
    ],
)
def test_valid_argument_passes(check, values):
    """Integers are valid seconds, and None is valid for an optional argument."""
    for value in values:
        check(value)


@pytest.mark.parametrize(
    ("check", "value", "error", "words"),
    [
        (queue, 0, ValueError, "queue is a number of slots of at least 1 or None, got 0"),
        (queue, "5", TypeError, "queue is a number of slots .*a whole one, got .* type str"),
        (queue, 1.5, TypeError, "type float"),
        (queue, True, TypeError, "type bool"),
        (queue, -(10**400), ValueError, "slots of at least 1 or None, got an integer of 1329 bits"),
        (size, 2**63, ValueError, "size is a number of bytes from 0 to 9223372036854775807, got"),
        (size, 10**400, ValueError, "got an integer of 1329 bits"),
        (rate, 0, ValueError, "rate is a number of polls a second above 0, or None, got 0"),
        (rate, math.inf, ValueError, "got inf"),
        (rate, math.nan, ValueError, "got nan"),
        (rate, 10**400, ValueError, "rate is .* above 0, or None, got one that no float can hold"),
        (lease, Fraction(-(10**5000)), ValueError, "got one that no float can hold"),
        (link_timeout, Fraction(10**400), ValueError, "got one that no float can hold"),
        (lease, 0, ValueError, "lease is a number of seconds above 0, got 0"),
        (lease, math.nan, ValueError, "got nan"),
        (lease, None, TypeError, "got None"),
        (
            link_timeout,
            -1,
            ValueError,
            "timeout is a number of seconds of at least 0 or None, got -1",
        ),
        (link_timeout, math.nan, ValueError, "got nan"),
        (link_timeout, "5", TypeError, "timeout is a number of seconds .* got .* type str"),
        (link_timeout, True, TypeError, "type bool"),
        (link_timeout, Decimal(5), TypeError, "type Decimal"),
    ],
)
def test_invalid_argument_is_refused(check, value, error, words):
    """The message says what was expected and what was given."""
    with pytest.raises(error, match=words):
        check(value)


@pytest.mark.parametrize(
    "name", ["timeout", "submit_timeout", "unsent_timeout", "wait_timeout", "rate"]
)
def test_number_beyond_a_float_is_refused(name):
    """No client is made with a number that its timers cannot use."""
    with pytest.raises(ValueError, match=f"{name} is a number of"):
        Client(KEY, **{name: 10**400})


def test_wrong_type_message_hides_the_value():
    """A key given for the wrong argument does not appear in the message."""
    with pytest.raises(TypeError) as refused:
        lease(KEY)
    assert KEY not in str(refused.value)


async def test_text_in_place_of_many_tickets_is_not_quoted(tmp_path):
    """It may be the key, given to a method instead of the client."""
    async with (
        Client(KEY) as client,
        Batch.open(tmp_path / "a.journal", client=client) as batch,
    ):
        for add_tickets in (
            lambda: client.gather(KEY),
            lambda: anext(client.stream(KEY)),
            lambda: batch.add(KEY),
        ):
            with pytest.raises(ValueError, match="come in a list, such as") as refused:
                await add_tickets()
            assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("workers", value) for value in (0, "5", 1.5, None)),
        *(("timeout", value) for value in (0, "5", None)),
        *(("queue", value) for value in (0, "5", 1.5)),
        *(("submit_timeout", value) for value in (0, "5", None)),
        *(("rate", value) for value in (0, "5")),
    ],
)
def test_client_refuses_invalid_numbers(name, wrong):
    """The message starts with the name of the argument."""
    with pytest.raises((TypeError, ValueError), match=f"^{name} is a number"):
        Client(KEY, **{name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        *(("api_key", value, "a text or None") for value in (b"a-key-1234", 5)),
        ("enterprise_key", 5, "a text or None"),
        ("base_url", 5, "a text or None"),
        ("legacy_base_url", b"https://x.example", "a text or None"),
        ("families", 5, "a mapping of names to Family, got"),
        ("families", {"a": 5}, "a mapping of names to Family, got a value of type int"),
        ("endpoints", [], "a mapping of names to Endpoint"),
        ("pace", 3.0, r"a Pace, such as Pace.fixed\(3\).*, got a value of type float"),
        ("on_submitted", 5, "a function or None"),
    ],
)
def test_client_refuses_wrong_types(name, wrong, words):
    """The message names the argument and the type, but does not show the value."""
    with pytest.raises(TypeError, match=f"^{name} is {words}"):
        Client(**{"api_key": KEY, name: wrong})


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("api_key", "MODELSLAB_API_KEY"),
        ("enterprise_key", "MODELSLAB_ENTERPRISE_API_KEY"),
        ("base_url", "MODELSLAB_BASE_URL"),
        ("legacy_base_url", "MODELSLAB_LEGACY_BASE_URL"),
    ],
)
def test_empty_text_does_not_stand_for_its_variable(name, variable, monkeypatch):
    """It is a mistake, such as an unset setting, and the variable may hold another account."""
    monkeypatch.setenv("MODELSLAB_API_KEY", "another-test-key-1234")
    with pytest.raises(ValueError, match=rf"^{name} is a text or None, .* empty .*{variable}"):
        Client(**{"api_key": KEY, name: ""})
    monkeypatch.setenv(variable, "")
    assert Client(KEY)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("wait_timeout", wrong) for wrong in ("5", 0, -1, math.nan)),
        *(("max_submits", wrong) for wrong in ("5", -1, math.nan)),
    ],
)
def test_limits_of_a_client_are_checked(name, wrong):
    """Both are numbers, or None for no limit. A client that may pay for nothing can still wait."""
    assert Client(KEY, max_submits=0)
    assert Client(KEY, **{name: None})
    with pytest.raises((TypeError, ValueError), match=f"^{name} is a number"):
        Client(KEY, **{name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("concurrency", "5"), ("max_bytes", 1.5), ("timeout", "5"), ("link_timeout", None)],
)
def test_downloads_refuse_invalid_numbers(name, wrong):
    """The message starts with the name of the argument."""
    with pytest.raises(TypeError, match=f"^{name} is a number"):
        Downloads(to="x", **{name: wrong})


@pytest.mark.parametrize("wrong", ["false", "no", "", 0, None])
def test_downloads_refuse_a_switch_that_is_no_bool(wrong):
    """Most texts are true, so `"false"` of an environment would lift the guard."""
    with pytest.raises(TypeError, match=r"^allow_private is True or False, got "):
        Downloads(to="x", allow_private=wrong)


@pytest.mark.parametrize(
    ("client", "more", "words"),
    [
        ("x", {}, "client is a Client, .*the folder is `to`.*, got a value of type str"),
        (Client, {}, "client is a Client, .*, got the class Client instead of an object"),
        (None, {"to": 5}, "to is the path of a folder or None, got a value of type int"),
        (None, {"to": b"x"}, "to is the path of a folder or None, got a value of type bytes"),
        (None, {"known": 5}, "known is files .*, got a value of type int"),
        (None, {"known": ["x"]}, "known is files .*, got a value of type str"),
        (None, {"known": None}, "known is files .*, got None"),
        (None, {"families": 5}, "families is a mapping of names to Family"),
    ],
)
def test_downloads_refuse_wrong_types(client, more, words):
    """They are refused at once, and not when a link has died."""
    with pytest.raises(TypeError, match=f"^{words}"):
        Downloads(client, **{"to": "x"} | more)


def test_downloads_refuse_an_empty_folder():
    """It would be the current folder, and is mostly a setting that was not made."""
    with pytest.raises(ValueError, match=r"^to is the path of a folder or None, got an empty text"):
        Downloads(to="")


@pytest.mark.parametrize("wrong", ["5", -1, math.nan])
def test_invalid_timeout_is_refused_before_any_request(wrong, virtually, world):
    """Every method that waits refuses it before anything is sent."""
    request = ("realtime/text2img", {"prompt": "a cat"})

    async def main():
        async with world() as here:
            client = here.client
            for start_wait in (
                lambda: client.wait("images:1", timeout=wrong),
                lambda: client.gather(["images:1"], timeout=wrong),
                lambda: anext(client.stream(["images:1"], timeout=wrong)),
                lambda: client.generate(request[0], **request[1], timeout=wrong),
                lambda: anext(client.generate_many([request], timeout=wrong)),
            ):
                with pytest.raises((TypeError, ValueError), match=r"^timeout is a number of sec"):
                    await start_wait()
            assert [] == here.wire.requests

    virtually(main)


async def test_batch_refuses_invalid_arguments(tmp_path):
    """Both `open` and `run` check their numbers."""
    with pytest.raises(TypeError, match=r"^lease is a finite number"):
        async with Batch.open(tmp_path / "a.journal", lease="60"):
            pass
    async with (
        Client(KEY) as client,
        Batch.open(tmp_path / "a.journal", client=client) as batch,
    ):
        with pytest.raises(TypeError, match=r"^timeout is a number"):
            await anext(batch.run(timeout="5"))
        with pytest.raises(TypeError, match=r"^window is a number"):
            await anext(batch.run(window="5"))


class AwaitedCall:
    async def __call__(self):
        pass


async def awaited():
    pass


@pytest.mark.parametrize("value", [None, print, AwaitedCall])
def test_function_or_none_is_a_callback(value):
    """Whether or not an `async def` would do."""
    for allow_async in (True, False):
        check_callback("on_event", value, allow_async=allow_async)


@pytest.mark.parametrize("value", [awaited, AwaitedCall()])
def test_async_callback_needs_a_place_that_awaits_it(value):
    """Elsewhere it would never run."""
    check_callback("on_submitted", value, allow_async=True)
    with pytest.raises(TypeError, match=r"^on_event is called and not awaited"):
        check_callback("on_event", value, allow_async=False)


@pytest.mark.parametrize("allow_async", [True, False])
def test_callback_that_cannot_be_called_is_refused(allow_async):
    """Only its type is shown."""
    with pytest.raises(TypeError, match=r"^on_event is a function or None, got a value of type st"):
        check_callback("on_event", "a-key", allow_async=allow_async)


def test_object_needs_all_members_and_is_no_class():
    """The error names what is missing, or the class that was given instead of its object."""
    check_members("pace", "text", ["strip", "upper"], "a text")
    with pytest.raises(TypeError, match="pace is a text, got a value of type int without strip"):
        check_members("pace", 5, ["strip", "real"], "a text")
    with pytest.raises(TypeError, match="pace is a text, got the class str instead of an object"):
        check_members("pace", str, ["strip"], "a text")


class ByIndex:
    """Can be iterated, although it has no `__iter__`."""

    def __getitem__(self, index):
        return ["images:1"][index]


async def tickets_to_come():
    yield "images:1"


@pytest.mark.parametrize("value", [["images:1"], iter(["images:1"]), ByIndex()])
def test_what_can_be_iterated_is_accepted(value):
    """Lists, iterators, and objects that have `__getitem__` alone."""
    check_iterable("tickets", value, "tickets", allow_async=False)
    check_tickets(value)
    assert [Ticket("images", 1)] == tickets_of(value)


def test_async_iterable_is_accepted_only_where_it_can_be_read():
    """A method that reads its argument at once takes no async iterable."""
    check_iterable("requests", tickets_to_come(), "requests")
    check_tickets(tickets_to_come())
    for convert in (new_tickets_of, tickets_of):
        with pytest.raises(TypeError, match=r"an iterable of tickets.* type async_generator"):
            convert(tickets_to_come())


@pytest.mark.parametrize("value", [5, None, KEY.encode, object()])
def test_what_cannot_be_iterated_is_refused_by_its_type(value):
    """The error says what was expected, and shows no value."""
    for check in (check_tickets, new_tickets_of, tickets_of):
        with pytest.raises(TypeError, match=r"^tickets is an iterable of tickets, such as .*, got"):
            check(value)
    with pytest.raises(TypeError, match=r"^requests is a list, got"):
        check_iterable("requests", value, "a list")


def test_text_is_no_list_of_tickets():
    """Each of its characters would count as a ticket."""
    for check in (check_tickets, new_tickets_of, tickets_of):
        with pytest.raises(ValueError, match="in a list, such as"):
            check("images:1")


def test_tickets_of_a_caller_become_tickets():
    """A new one needs an id, because a journal polls it later."""
    assert [Ticket("images", 1)] == tickets_of(["images:1"])
    [new] = new_tickets_of([("images:1", {"row": 7})])
    assert Ticket("images", 1) == new.ticket
    with pytest.raises(ValueError, match="id"):
        new_tickets_of([Ticket("images", "")])


def test_wrong_type_is_named_and_not_shown():
    """The value may be the API key."""
    check_type("key", None, str | None, "a text or None")
    check_type("key", "a", str | None, "a text or None")
    with pytest.raises(TypeError, match=r"^key is a text or None, got a value of type bytes$"):
        check_type("key", KEY.encode(), str | None, "a text or None")
