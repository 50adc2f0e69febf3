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
_MIN_KEY_LENGTH = 8
_ENVIRONMENT_VARIABLES = {
    "standard": "MODELSLAB_API_KEY",
    "enterprise": "MODELSLAB_ENTERPRISE_API_KEY",
}


def _validate_key(_instance: object, _attribute: object, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(
            "an API key is one line of ASCII characters without blanks; this one (not shown) is "
            "not: look for a line break or a quotation mark that was copied along"
        )


def _maskable_keys(credentials: "Credentials") -> list[str]:
    """The keys that are to be hidden; the longer one first, should the other be its beginning."""
    distinct = {
        key
        for key in (credentials.standard, credentials.enterprise)
        if key and len(key) >= _MIN_KEY_LENGTH
    }
    return sorted(distinct, key=len, reverse=True)


def _key_encodings(credentials: "Credentials") -> tuple[bytes, ...]:
    """Each key as it is and as JSON and URLs write it; most keys look the same in all of them."""
    return tuple(
        encoding.encode()
        for key in _maskable_keys(credentials)
        for encoding in {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, "")}
    )


def _key_pattern(credentials: "Credentials", pattern_of: Callable[[str], str]) -> str:
    """What matches a key, however each of its characters is written."""
    return "|".join("".join(map(pattern_of, key)) for key in _maskable_keys(credentials))


def _json_pattern(character: str) -> str:
    return rf"(?:\\?{re.escape(character)}|\\u00(?i:{ord(character):02x}))"


def _any_quoting_pattern(character: str) -> str:
    """In a text that may quote bytes, JSON or URLs."""
    code = f"(?i:{ord(character):02x})"
    # Bounded, so that a text of nothing but backslashes is no work.
    return rf"(?:\\{{0,8}}{re.escape(character)}|%(?:25){{0,2}}{code}|\\{{1,8}}(?:x|u00){code})"


@frozen(kw_only=True)
class Credentials:
    """The standard key and the enterprise key; either may be missing, but not both."""

    standard: str | None = field(repr=False, validator=_validate_key)
    enterprise: str | None = field(repr=False, validator=_validate_key)
    _encodings: tuple[bytes, ...] = field(
        init=False, repr=False, eq=False, default=Factory(_key_encodings, takes_self=True)
    )

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled or copied; make a new client where one is needed")

    @classmethod
    def resolve(cls, standard: str | None, enterprise: str | None) -> "Credentials":
        """
        Take the keys given, else those of the environment.

        Raises:
            ValueError: There is no key at all, or one that no header could carry.
        """
        standard = standard or os.environ.get(_ENVIRONMENT_VARIABLES["standard"]) or None
        enterprise = enterprise or os.environ.get(_ENVIRONMENT_VARIABLES["enterprise"]) or None
        if standard is None and enterprise is None:
            raise ValueError(
                "there is no API key: pass api_key=... or set MODELSLAB_API_KEY "
                "(your keys: https://modelslab.com/dashboard/api-keys)"
            )
        return cls(standard=standard, enterprise=enterprise)

    def key_for(self, tier: Tier) -> str:
        """
        Return the key of a tier. Without an enterprise key, its families use the standard key.

        Raises:
            ValueError: There is none.
        """
        key = (self.enterprise or self.standard) if tier == "enterprise" else self.standard
        if key is None:
            raise ValueError(
                f"this family needs the {tier} key: pass api_key=... or set {_ENVIRONMENT_VARIABLES[tier]}"
            )
        return key

    def key_tier(self, tier: Tier) -> Tier:
        """
        Return the tier whose key the requests of a tier carry.

        Without an enterprise key of its own, that is "standard" for both tiers.

        Raises:
            ValueError: There is no key for the tier.
        """
        self.key_for(tier)
        is_same_key = self.enterprise is None or self.enterprise == self.standard
        return "standard" if is_same_key and self.standard else tier

    # Both are made where they are needed first: that takes some milliseconds.
    @cached_property
    def _json_regex(self) -> re.Pattern[bytes]:
        return re.compile(_key_pattern(self, _json_pattern).encode())

    @cached_property
    def _text_regex(self) -> re.Pattern[str]:
        return re.compile(_key_pattern(self, _any_quoting_pattern))

    def redact(self, data: bytes) -> bytes:
        """The bytes without the keys, should a server have echoed one; else the same object."""
        if b"\0" in data:
            # UTF-16 or 32, which JSON may be written in: as UTF-8 it says the same.
            data = data.decode(json.detect_encoding(data), "replace").encode()
        for encoding in self._encodings:
            if encoding in data:
                data = data.replace(encoding, b"[key]")
        # A single sign is looked for much faster than several.
        if b"\\" in data and self._encodings and b"\\u00" in data:
            data = self._json_regex.sub(b"[key]", data)
        return data

    def redact_text(self, text: str) -> str:
        """A short text without the keys, in whatever way it may quote what a server echoed."""
        return self._text_regex.sub("[key]", text) if self._encodings else text
