"""Tier: whether a request needs the customer's standard or enterprise API key."""

from typing import Literal, TypeAlias

Tier: TypeAlias = Literal["standard", "enterprise"]
