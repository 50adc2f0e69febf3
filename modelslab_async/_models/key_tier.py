"""Tier: which of an account's two keys a request needs."""

from typing import Literal, TypeAlias

Tier: TypeAlias = Literal["standard", "enterprise"]
