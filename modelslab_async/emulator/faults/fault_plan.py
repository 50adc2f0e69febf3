"""Faults: says which faults a faulty server causes, how often, and in which order."""

from collections import deque
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Self

from attrs import field, fields, frozen
from attrs.validators import ge, instance_of

from ..._registry.suggestions import did_you_mean
from ..setting_validators import require_share
from .connection_faults import CONNECTION_FAULTS, REQUEST_FAULTS
from .wrong_replies import WRONG_REPLIES

_SERVER_ERRORS = ("status_500", "status_502", "status_503", "status_504")
# A burst is several faults under one name, for several requests in a row.
_BURSTS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {"burst": ("twenty server errors in a row", _SERVER_ERRORS * 5)}
)

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        name: description
        for table in (CONNECTION_FAULTS, REQUEST_FAULTS, WRONG_REPLIES, _BURSTS)
        for name, (description, *_) in table.items()
    }
)
"""The description of every fault, keyed by the name of the fault."""


def _check_shares(_faults: object, _attribute: object, shares: Mapping[str, float]) -> None:
    for name, share in shares.items():
        _check_known(name)
        require_share(f"the share of {name!r}", share)
    for at_connect in (True, False):
        total = sum(
            share for name, share in shares.items() if (name in CONNECTION_FAULTS) == at_connect
        )
        if total > 1 + 1e-9:
            what = "connection" if at_connect else "request"
            raise ValueError(f"the shares of {what} faults add up to {total:g}, at most 1 fits")


def _check_script(_faults: object, attribute: Any, script: tuple[str | None, ...]) -> None:
    at_connect = attribute.name == "connections"
    for name in script:
        if name is None:
            continue
        _check_known(name)
        if (name in CONNECTION_FAULTS) != at_connect:
            where = "script" if at_connect else "connections"
            raise ValueError(f"the fault {name!r} belongs in {where}, not in {attribute.name}")


def _check_known(name: str) -> None:
    if name in FAULTS:
        return
    problem = "; ".join(filter(None, (f"unknown fault {name!r}", did_you_mean(name, FAULTS))))
    raise ValueError(f"{problem}\nknown faults: {', '.join(sorted(FAULTS))}")


@frozen(kw_only=True)
class Faults:
    """
    Which faults a faulty server causes.

    A connection fault happens when a connection opens. Any other fault happens after the server has
    read a request. The server first causes the faults in `connections` and `script`. Then it draws
    faults at random, each with the probability `shares[name]`.

    Args:
        shares: The share of connections or requests that each fault hits, from 0 to 1, keyed by the
            name of the fault.
        script: The faults of the first requests, in order. A None among them means the true reply.
        connections: The faults of the first connections, in order. A None among them means no
            fault.
        outage: The seconds for which the port stays closed at the start.
        seed: The seed of the random draws.
        delay: How many seconds a fault waits. The server waits between two bytes of a dripping
            reply, before a slow reply, or before a closed port opens again.
        hint: The seconds that a faulty reply asks the client to wait, for example in `Retry-After`.
        foreign_url: The URL of another server. The faulty redirects and links lead there.

    Raises:
        ValueError: A fault is unknown, or an argument is out of its range.

    Example:
        >>> Faults.parse("html=0.1,outage=30").shares
        {'html': 0.1}
    """

    shares: Mapping[str, float] = field(factory=dict[str, float], validator=_check_shares)
    script: tuple[str | None, ...] = field(default=(), converter=tuple, validator=_check_script)
    connections: tuple[str | None, ...] = field(
        default=(), converter=tuple, validator=_check_script
    )
    outage: float = field(default=0.0, validator=ge(0.0))
    seed: int = field(default=0, validator=instance_of(int))
    delay: float = field(default=1.0, validator=ge(0.0))
    hint: float = field(default=30.0, validator=ge(0.0))
    foreign_url: str = "http://elsewhere.invalid/"

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse faults from a string such as `reset_after=0.1,html=0.05,outage=30`.

        The command line takes faults in this form. The number after the name of a fault is its
        share. A fault without a number has the share 1. The settings `outage`, `seed`, `delay`,
        `hint` and `foreign_url` are written in the same way.

        Raises:
            ValueError: A name is unknown, or a value is not a number or is out of range.
        """
        shares: dict[str, float] = {}
        options: dict[str, Any] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            name, equals, value = (each.strip() for each in part.partition("="))
            if name == "foreign_url":
                options[name] = value
            elif name in _NUMBER_TYPES:
                options[name] = _parse_number(name, value, _NUMBER_TYPES[name])
            else:
                _check_known(name)
                shares[name] = _parse_number(name, value, float) if equals else 1.0
        return cls(shares=shares, **options)


_NUMBER_TYPES = {
    each.name: each.type for each in fields(Faults) if each.type in (int, float) and each.type
}


def _parse_number(name: str, value: str, number_type: type) -> Any:
    try:
        return number_type(value)
    except ValueError:
        what = "a whole number" if number_type is int else "a number"
        raise ValueError(f"{name} takes {what}, as in {name}=1, got {value!r}") from None


class FaultSequence:
    """The faults of one server, one after another. Equal `Faults` give equal sequences."""

    def __init__(self, faults: Faults) -> None:
        self._random = Random(faults.seed)  # noqa: S311 -- draws must be repeatable.
        self._script = deque(faults.script)
        self._connections = deque(faults.connections)
        self._shares = faults.shares

    def next_connection_fault(self) -> str | None:
        """Return the fault of the next connection, or None for a connection without a fault."""
        if self._connections:
            return self._connections.popleft()
        return self._draw(at_connect=True)

    def next_request_fault(self) -> str | None:
        """Return the fault of the next request, or None for a request that gets the true reply."""
        name = self._script.popleft() if self._script else self._draw(at_connect=False)
        if name is not None and name in _BURSTS:
            _, faults = _BURSTS[name]
            self._script.extendleft(reversed(faults))
            return self._script.popleft()
        return name

    def _draw(self, *, at_connect: bool) -> str | None:
        remaining = self._random.random()
        for name, share in self._shares.items():
            if (name in CONNECTION_FAULTS) == at_connect:
                remaining -= share
                if remaining < 0:
                    return name
        return None
