"""Tier: which of an account's two keys a family is asked with."""

from typing import Literal, TypeAlias

Tier: TypeAlias = Literal["standard", "enterprise"]
