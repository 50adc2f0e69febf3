"""Holds the API keys and removes them from text. They show in no repr and no pickle."""

import json
import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import NoReturn
from urllib.parse import quote

from attrs import Factory, field, frozen

from .._models.tier import Tier

# A shorter key is a test's placeholder. Redacting it would damage unrelated text.
_MIN_KEY_LENGTH = 8
_ENVIRONMENT_VARIABLES = {
    "standard": "MODELSLAB_API_KEY",
    "enterprise": "MODELSLAB_ENTERPRISE_API_KEY",
}


class MissingApiKey(ValueError):
    """
    There is no API key for a request.

    Attributes:
        need: What needs the key.
        variable: The environment variable that the key is read from.
    """

    def __init__(self, need: str, tier: Tier) -> None:
        self.need = need
        self.variable = _ENVIRONMENT_VARIABLES[tier]
        super().__init__(f"{need}: pass api_key=... or set {self.variable}")


def _validate_key(_instance: object, _attribute: object, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(
            "an API key is one line of ASCII characters without blanks; this one (not shown) is "
            "not: check whether a line break or a quotation mark was copied with it"
        )


def _maskable_keys(credentials: "Credentials") -> list[str]:
    """Return the keys to redact, the longest first: one key may begin with the other."""
    distinct = {
        key
        for key in (credentials.standard, credentials.enterprise)
        if key and len(key) >= _MIN_KEY_LENGTH
    }
    return sorted(distinct, key=len, reverse=True)


def _key_encodings(credentials: "Credentials") -> tuple[bytes, ...]:
    """Return each key as plain text, in JSON and in a URL. For most keys all three are equal."""
    return tuple(
        encoding.encode()
        for key in _maskable_keys(credentials)
        for encoding in {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, "")}
    )


def _key_pattern(credentials: "Credentials", pattern_of: Callable[[str], str]) -> str:
    """Return a pattern that matches a key, in any spelling of each character."""
    return "|".join("".join(map(pattern_of, key)) for key in _maskable_keys(credentials))


def _json_pattern(character: str) -> str:
    return rf"(?:\\?{re.escape(character)}|\\u00(?i:{ord(character):02x}))"


def _any_quoting_pattern(character: str) -> str:
    """Return a pattern of one character in text that may quote bytes, JSON or URLs."""
    code = f"(?i:{ord(character):02x})"
    # The repetitions are bounded, so that a text of backslashes is searched in linear time.
    return rf"(?:\\{{0,8}}{re.escape(character)}|%(?:25){{0,2}}{code}|\\{{1,8}}(?:x|u00){code})"


@frozen(kw_only=True)
class Credentials:
    """The standard key and the enterprise key. One of them may be missing."""

    standard: str | None = field(repr=False, validator=_validate_key)
    enterprise: str | None = field(repr=False, validator=_validate_key)
    _encodings: tuple[bytes, ...] = field(
        init=False, repr=False, eq=False, default=Factory(_key_encodings, takes_self=True)
    )

    def __reduce__(self) -> NoReturn:
        raise TypeError("API keys cannot be pickled or copied: make a new client instead")

    @classmethod
    def resolve(cls, standard: str | None, enterprise: str | None) -> "Credentials":
        """
        Take the given keys, or else those of the environment.

        Raises:
            MissingApiKey: There is no key at all.
            ValueError: A header cannot carry one of the keys.
        """
        standard = standard or os.environ.get(_ENVIRONMENT_VARIABLES["standard"]) or None
        enterprise = enterprise or os.environ.get(_ENVIRONMENT_VARIABLES["enterprise"]) or None
        if standard is None and enterprise is None:
            raise MissingApiKey(
                "there is no API key (yours are at https://modelslab.com/dashboard/api-keys)",
                "standard",
            )
        return cls(standard=standard, enterprise=enterprise)

    def key_for(self, tier: Tier) -> str:
        """
        Return the key of a tier. Without an enterprise key, its families use the standard key.

        Raises:
            MissingApiKey: There is no key for the tier.
        """
        key = (self.enterprise or self.standard) if tier == "enterprise" else self.standard
        if key is None:
            raise MissingApiKey(f"this family needs the {tier} key", tier)
        return key

    def key_tier(self, tier: Tier) -> Tier:
        """
        Return the tier whose key the requests of a tier carry.

        Without a separate enterprise key, that is "standard" for both tiers.

        Raises:
            ValueError: There is no key for the tier.
        """
        self.key_for(tier)
        is_same_key = self.enterprise is None or self.enterprise == self.standard
        return "standard" if is_same_key and self.standard else tier

    # Compiled at first use, since that takes some milliseconds.
    @cached_property
    def _json_regex(self) -> re.Pattern[bytes]:
        return re.compile(_key_pattern(self, _json_pattern).encode())

    @cached_property
    def _text_regex(self) -> re.Pattern[str]:
        return re.compile(_key_pattern(self, _any_quoting_pattern))

    def redact(self, data: bytes) -> bytes:
        """Return the bytes without the keys, or the same object if no key is in them."""
        if b"\0" in data:
            # JSON may be UTF-16 or UTF-32. Converted to UTF-8 it means the same.
            data = data.decode(json.detect_encoding(data), "replace").encode()
        for encoding in self._encodings:
            if encoding in data:
                data = data.replace(encoding, b"[key]")
        # Searching for one byte first is much faster than searching for several.
        if b"\\" in data and self._encodings and b"\\u00" in data:
            data = self._json_regex.sub(b"[key]", data)
        return data

    def redact_text(self, text: str) -> str:
        """Return a short text without the keys, in any form of quoting."""
        return self._text_regex.sub("[key]", text) if self._encodings else text
