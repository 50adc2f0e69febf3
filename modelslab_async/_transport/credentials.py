"""Holds the API keys and redacts them in text. It never shows a key in a repr or a pickle."""

import json
import os
import re
from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b
from typing import NoReturn
from urllib.parse import quote

from attrs import Factory, field, frozen

from .._models.argument_checks import check_type
from .._models.key_tier import Tier

# A shorter key is not redacted. It can only be a placeholder in a test, and redacting it would
# damage unrelated text.
_MIN_KEY_LENGTH = 8
_ENVIRONMENT_VARIABLES = {
    "standard": "MODELSLAB_API_KEY",
    "enterprise": "MODELSLAB_ENTERPRISE_API_KEY",
}


class MissingApiKey(ValueError):
    """
    There is no API key for a request.

    Attributes:
        need: A text that says what needs the key.
        variable: The environment variable from which the key would be read.
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
    """Return the keys to redact, the longer one first, because it may contain the other key."""
    distinct = {
        key
        for key in (credentials.standard, credentials.enterprise)
        if key and len(key) >= _MIN_KEY_LENGTH
    }
    return sorted(distinct, key=len, reverse=True)


def _key_encodings(credentials: "Credentials") -> tuple[bytes, ...]:
    """Return each key as it is spelled in plain text, in JSON and in a URL, without duplicates."""
    return tuple(
        encoding.encode()
        for key in _maskable_keys(credentials)
        for encoding in {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, "")}
    )


def _key_pattern(credentials: "Credentials", pattern_of: Callable[[str], str]) -> str:
    """Return a pattern that matches any key. `pattern_of` makes the pattern of one character."""
    return "|".join("".join(map(pattern_of, key)) for key in _maskable_keys(credentials))


def _json_pattern(character: str) -> str:
    return rf"(?:\\?{re.escape(character)}|\\u00(?i:{ord(character):02x}))"


def _any_quoting_pattern(character: str) -> str:
    """Return a pattern for one character in text that may quote bytes, JSON or URLs."""
    code = f"(?i:{ord(character):02x})"
    # Bounded repetitions, so that searching a text of backslashes takes linear time.
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
        Return credentials with the given keys, or else with the keys of the environment.

        Raises:
            MissingApiKey: There is neither a standard nor an enterprise key.
            TypeError: A key is not a text.
            ValueError: A key contains characters that an HTTP header cannot carry.
            TypeError: A key is neither a text nor None.
        """
        for name, key in (("api_key", standard), ("enterprise_key", enterprise)):
            check_type(name, key, str | None, "a text or None")
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
        Return the key of a tier. Without an enterprise key, the standard key serves both tiers.

        Raises:
            MissingApiKey: There is no key for the tier.
        """
        key = (self.enterprise or self.standard) if tier == "enterprise" else self.standard
        if key is None:
            raise MissingApiKey(f"this family needs the {tier} key", tier)
        return key

    def key_tier(self, tier: Tier) -> Tier:
        """
        Return the tier whose key is sent with requests of this tier.

        If there is no enterprise key, or if it equals the standard key, return "standard".

        Raises:
            ValueError: There is no key for the tier.
        """
        self.key_for(tier)
        is_same_key = self.enterprise is None or self.enterprise == self.standard
        return "standard" if is_same_key and self.standard else tier

    def digest(self, tier: Tier) -> str:
        """Return a digest of the key of a tier. It is equal for equal keys, and hides the key."""
        key = self.key_for(tier).encode()
        return blake2b(key, digest_size=16, person=b"modelslab-key").hexdigest()

    # Compiled at first use, because compiling takes some milliseconds.
    @cached_property
    def _json_regex(self) -> re.Pattern[bytes]:
        return re.compile(_key_pattern(self, _json_pattern).encode())

    @cached_property
    def _text_regex(self) -> re.Pattern[str]:
        return re.compile(_key_pattern(self, _any_quoting_pattern))

    def redact(self, data: bytes) -> bytes:
        """Replace the keys in a body by "[key]". Return the same object if nothing changes."""
        if b"\0" in data:
            # JSON may be encoded in UTF-16 or UTF-32. Convert it to UTF-8, in which the keys are
            # searched for.
            data = data.decode(json.detect_encoding(data), "replace").encode()
        for encoding in self._encodings:
            if encoding in data:
                data = data.replace(encoding, b"[key]")
        # Python finds a single byte much faster than several bytes, so search for the backslash
        # first.
        if b"\\" in data and self._encodings and b"\\u00" in data:
            data = self._json_regex.sub(b"[key]", data)
        return data

    def redact_text(self, text: str) -> str:
        """Replace the keys in a short text by "[key]", whichever way they are quoted."""
        return self._text_regex.sub("[key]", text) if self._encodings else text
