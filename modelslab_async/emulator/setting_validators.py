"""Validators and a converter for the settings of the emulator and of its servers."""

from collections.abc import Mapping
from typing import Any

from attrs import Attribute

from modelslab_async._models.argument_checks import check_count

_MAX_PORT = 65_535


def check_share(_instance: object, attribute: "Attribute[Any]", value: float) -> None:
    """
    Check that a share is from 0 to 1.

    Raises:
        ValueError: The value is out of range.
    """
    require_share(attribute.name, value)


def require_share(name: str, value: float) -> None:
    """
    Check that a share is from 0 to 1. The error message calls the share by its `name`.

    Raises:
        ValueError: The value is out of range.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0.0 to 1.0, got {value!r}")


def check_shares(
    _instance: object, attribute: "Attribute[Any]", value: float | Mapping[str, float]
) -> None:
    """
    Check that one share, or the share of each family, is from 0 to 1.

    Raises:
        ValueError: A value is out of range.
    """
    shares = value if isinstance(value, Mapping) else {"": value}
    for family, share in shares.items():
        require_share(f"{attribute.name}[{family!r}]" if family else attribute.name, share)


def check_range(_instance: object, attribute: "Attribute[Any]", value: tuple[float, float]) -> None:
    """
    Check that a range of seconds is not negative and does not end before it starts.

    Raises:
        ValueError: The value is out of range.
    """
    if not 0 <= value[0] <= value[1]:
        raise ValueError(
            f"{attribute.name} is a number of seconds of at least 0, or (shortest, longest), "
            f"got {value!r}"
        )


def check_port(port: int) -> None:
    """
    Check that a server can listen on a port. The port 0 means any free port.

    Raises:
        TypeError: The port is not a whole number.
        ValueError: The port is out of range.
    """
    check_count("port", port, least=0, most=_MAX_PORT)


def as_range(value: float | tuple[float, float]) -> tuple[float, float]:
    """Turn a single number into the range from that number to itself."""
    return value if isinstance(value, tuple) else (value, value)
