"""Keys: the caller's credentials. They show in no repr and leave only inside a request."""

import json
import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import NoReturn
from urllib.parse import quote

from attrs import Factory, field, frozen

from .._models.tier import Tier

# A shorter key is a stand-in for a test; masking it would maim innocent bodies.
_SHORTEST_SECRET = 8
_VARIABLES = {"standard": "MODELSLAB_API_KEY", "enterprise": "MODELSLAB_ENTERPRISE_API_KEY"}


def _check(_instance: object, _attribute: object, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(
            "an API key is one line of ASCII characters without blanks; this one (not shown) is "
            "not: look for a line break or a quotation mark that was copied along"
        )


def _secrets(keys: "Keys") -> list[str]:
    """The keys that are to be hidden; the longer one first, should the other be its beginning."""
    both = {key for key in (keys.standard, keys.enterprise) if key and len(key) >= _SHORTEST_SECRET}
    return sorted(both, key=len, reverse=True)


def _spellings(keys: "Keys") -> tuple[bytes, ...]:
    """Each key as it is and as JSON and URLs write it; most keys look the same in all of them."""
    return tuple(
        form.encode()
        for key in _secrets(keys)
        for form in {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, "")}
    )


def _pattern(keys: "Keys", spelled: Callable[[str], str]) -> str:
    """What matches a key, however each of its characters is written."""
    return "|".join("".join(map(spelled, key)) for key in _secrets(keys))


def _in_json(character: str) -> str:
    return rf"(?:\\?{re.escape(character)}|\\u00(?i:{ord(character):02x}))"


def _anyhow(character: str) -> str:
    """In a text that may quote bytes, JSON or URLs."""
    code = f"(?i:{ord(character):02x})"
    # Bounded, so that a text of nothing but backslashes is no work.
    return rf"(?:\\{{0,8}}{re.escape(character)}|%(?:25){{0,2}}{code}|\\{{1,8}}(?:x|u00){code})"


@frozen(kw_only=True)
class Keys:
    """The standard key and the enterprise key; either may be missing, but not both."""

    standard: str | None = field(repr=False, validator=_check)
    enterprise: str | None = field(repr=False, validator=_check)
    _forms: tuple[bytes, ...] = field(
        init=False, repr=False, eq=False, default=Factory(_spellings, takes_self=True)
    )

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled or copied; make a new client where one is needed")

    @classmethod
    def find(cls, standard: str | None, enterprise: str | None) -> "Keys":
        """
        Take the keys given, else those of the environment.

        Raises:
            ValueError: There is no key at all, or one that no header could carry.
        """
        standard = standard or os.environ.get(_VARIABLES["standard"]) or None
        enterprise = enterprise or os.environ.get(_VARIABLES["enterprise"]) or None
        if standard is None and enterprise is None:
            raise ValueError(
                "there is no API key: pass api_key=... or set MODELSLAB_API_KEY "
                "(your keys: https://modelslab.com/dashboard/api-keys)"
            )
        return cls(standard=standard, enterprise=enterprise)

    def of(self, tier: Tier) -> str:
        """
        The key for one tier; enterprise families take the standard key where there is no other.

        Raises:
            ValueError: There is none.
        """
        key = (self.enterprise or self.standard) if tier == "enterprise" else self.standard
        if key is None:
            raise ValueError(
                f"this family needs the {tier} key: pass api_key=... or set {_VARIABLES[tier]}"
            )
        return key

    def which(self, tier: Tier) -> Tier:
        """The key that a tier's requests carry: enterprise families may take the standard one."""
        alike = self.enterprise is None or self.enterprise == self.standard
        return "standard" if alike and self.standard else tier

    # Both are made where they are needed first: that takes some milliseconds.
    @cached_property
    def _escaped(self) -> re.Pattern[bytes]:
        return re.compile(_pattern(self, _in_json).encode())

    @cached_property
    def _quoted(self) -> re.Pattern[str]:
        return re.compile(_pattern(self, _anyhow))

    def masked(self, data: bytes) -> bytes:
        """The bytes without the keys, should a server have echoed one; else the same object."""
        if b"\0" in data:
            # UTF-16 or 32, which JSON may be written in: as UTF-8 it says the same.
            data = data.decode(json.detect_encoding(data), "replace").encode()
        for form in self._forms:
            if form in data:
                data = data.replace(form, b"[key]")
        # A single sign is looked for much faster than several.
        if b"\\" in data and self._forms and b"\\u00" in data:
            data = self._escaped.sub(b"[key]", data)
        return data

    def masked_text(self, text: str) -> str:
        """A short text without the keys, in whatever way it may quote what a server echoed."""
        return self._quoted.sub("[key]", text) if self._forms else text
