"""Tier: whether a request needs the standard or the enterprise key of an account."""

from typing import Literal, TypeAlias

Tier: TypeAlias = Literal["standard", "enterprise"]
