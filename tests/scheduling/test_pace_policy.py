"""Any object with the methods of a pace is one; others are refused when the client is made."""

import pytest

from modelslab_async import Client, Pace


class OwnPace:
    """A pace of a caller's own."""

    limits = Pace()

    def for_family(self, _family):
        return self


class WithoutLimits:
    """A pace that says nothing about failures."""

    def for_family(self, _family):
        return self


class WithWrongLimits(OwnPace):
    """A pace whose limits are a number."""

    limits = 5


def test_object_with_the_methods_is_a_pace():
    """No base class is needed."""
    Client("a-key-1234", pace=OwnPace())


@pytest.mark.parametrize(
    ("pace", "message"),
    [
        (OwnPace, "pace is .*, got the class OwnPace instead of an object"),
        (WithoutLimits(), "pace is .*, got a value of type WithoutLimits without limits"),
        (object(), "pace is .*, got a value of type object without for_family, limits"),
        (None, "pace is .*, got None without for_family, limits"),
        (WithWrongLimits(), r"pace.limits is a Pace, such as Pace\(\), got a value of type int"),
    ],
)
def test_object_without_the_methods_is_refused(pace, message):
    """The message names what is missing."""
    with pytest.raises(TypeError, match=f"^{message}"):
        Client("a-key-1234", pace=pace)
