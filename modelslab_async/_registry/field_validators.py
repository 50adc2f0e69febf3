"""Validators for the fields of families and endpoints. Each error is one sentence."""

import re
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from attrs import Attribute

from .._models.argument_checks import check_type

Validator: TypeAlias = Callable[[Any, "Attribute[Any]", Any], None]


def matching(pattern: str, what: str, expected: str) -> Validator:
    """
    Make a validator for a string that matches a pattern as a whole.

    Args:
        pattern: The regular expression.
        what: What the field is, for the message.
        expected: What the pattern allows, for the message.
    """
    compiled = re.compile(pattern)

    def validate(_instance: object, _attribute: "Attribute[Any]", value: Any) -> None:
        check_type(what, value, str, expected)
        if not compiled.fullmatch(value):
            raise ValueError(f"{what} is {expected}, got {value!r}")

    return validate


def one_of(choices: Collection[str]) -> Validator:
    """Make a validator for a string that is one of these choices."""
    *others, last = map(repr, choices)
    expected = f"{', '.join(others)} or {last}"

    def validate(instance: Any, attribute: "Attribute[Any]", value: Any) -> None:
        if value not in choices:
            raise ValueError(f"{attribute.name} of {instance.name!r} is {expected}, got {value!r}")

    return validate
