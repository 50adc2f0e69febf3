"""Holds the API keys and redacts them in text. No repr shows a key, and no key can be pickled."""

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Final, NoReturn
from urllib.parse import quote

from attrs import Factory, field, frozen

from .._models.argument_checks import check_text
from .._models.key_kind import Tier
from .._models.ticket import Ticket

# The environment variable that can hold the key of each tier.
ENVIRONMENT_VARIABLES: Final[Mapping[Tier, str]] = {
    "standard": "MODELSLAB_API_KEY",
    "enterprise": "MODELSLAB_ENTERPRISE_API_KEY",
}
# The minimum length of a redacted key, in characters. A shorter key could occur in a text by
# chance. Only tests use such short keys.
_MIN_KEY_LENGTH = 8
# A truncated key is redacted only if at least this many of its characters are left. Keys in tests
# begin with words, and shorter beginnings of such keys could match these words in other texts.
_MIN_CUT_LENGTH = 12


class MissingApiKey(ValueError):
    """
    There is no API key for a request.

    Attributes:
        need: The first part of the message, such as "this family needs the standard key".
        tier: The kind of key that is missing: "standard" or "enterprise".
        variable: The environment variable that can hold the key.
    """

    def __init__(self, need: str, tier: Tier) -> None:
        self.need = need
        self.tier: Tier = tier
        self.variable = ENVIRONMENT_VARIABLES[tier]
        super().__init__(f"{need}: pass api_key=... or set {self.variable}")

    def __reduce__(self) -> tuple[type["MissingApiKey"], tuple[str, Tier]]:
        # Without this method, copying and unpickling would call `__init__` with the message alone,
        # and fail.
        return type(self), (self.need, self.tier)


def _validate_key(_instance: object, _attribute: object, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(
            "an API key is one line of ASCII characters without blanks; this one (not shown) is "
            "not: check whether a line break or a quotation mark was copied with it"
        )


def _find_maskable_keys(credentials: "Credentials") -> tuple[str, ...]:
    """
    Return the keys to redact, longest first.

    If one key contains another, the one that contains the other must be replaced first.
    """
    distinct = {
        key
        for key in (credentials.standard, credentials.enterprise)
        if key and len(key) >= _MIN_KEY_LENGTH
    }
    return tuple(sorted(distinct, key=len, reverse=True))


def _key_encodings(credentials: "Credentials") -> tuple[bytes, ...]:
    """Return the usual spellings of each key: in plain text, in JSON and in a URL."""
    return tuple(
        encoding.encode()
        for key in credentials.maskable_keys
        for encoding in {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, "")}
    )


def _key_pattern(credentials: "Credentials", pattern_of: Callable[[str], str]) -> str:
    """
    Return a regular expression that matches any of the keys.

    `pattern_of` returns the regular expression for one character of a key.
    """
    return "|".join("".join(map(pattern_of, key)) for key in credentials.maskable_keys)


def _cut_key_pattern(key: str) -> str:
    """
    Return a regular expression that matches a key even if its end is missing.

    A message may quote only the beginning of a text, and so only the beginning of a key. The
    regular expression matches the first half of the key, but at least `_MIN_CUT_LENGTH` characters.
    It also matches the rest of the word that begins with them.
    """
    half = key[: max(_MIN_CUT_LENGTH, (len(key) + 1) // 2)]
    return "".join(map(_any_quoting_pattern, half)) + r"[\w%\\-]*"


def _json_pattern(character: str) -> str:
    return rf"(?:\\?{re.escape(character)}|\\u00(?i:{ord(character):02x}))"


def _any_quoting_pattern(character: str) -> str:
    """
    Return a regular expression that matches a character, plain or escaped.

    The escapes are those of JSON, of URLs and of the `repr` of bytes. A dash also matches an
    underscore, and an underscore a dash, because a message may show a name in either spelling.
    """
    code = f"(?i:{ord(character):02x})"
    plain = "[-_]" if character in "-_" else re.escape(character)
    # Each repetition is limited, so that searching text full of backslashes takes linear time.
    return rf"(?:\\{{0,8}}{plain}|%(?:25){{0,2}}{code}|\\{{1,8}}(?:x|u00){code})"


@frozen(kw_only=True)
class Credentials:
    """A customer's two API keys: standard and enterprise. One of them may be missing."""

    standard: str | None = field(repr=False, validator=_validate_key)
    enterprise: str | None = field(repr=False, validator=_validate_key)
    maskable_keys: tuple[str, ...] = field(
        init=False, repr=False, eq=False, default=Factory(_find_maskable_keys, takes_self=True)
    )
    _encodings: tuple[bytes, ...] = field(
        init=False, repr=False, eq=False, default=Factory(_key_encodings, takes_self=True)
    )

    def __reduce__(self) -> NoReturn:
        raise TypeError("API keys cannot be pickled or copied: make a new client instead")

    @classmethod
    def resolve(cls, standard: str | None, enterprise: str | None) -> "Credentials":
        """
        Return the given keys as credentials. A missing key is read from its environment variable.

        Raises:
            MissingApiKey: There is neither a standard nor an enterprise key.
            TypeError: A key is neither a string nor None.
            ValueError: A key is an empty string, or contains characters that an HTTP header cannot
                carry.
        """
        check_text("api_key", standard, default=ENVIRONMENT_VARIABLES["standard"])
        check_text("enterprise_key", enterprise, default=ENVIRONMENT_VARIABLES["enterprise"])
        standard = standard or os.environ.get(ENVIRONMENT_VARIABLES["standard"]) or None
        enterprise = enterprise or os.environ.get(ENVIRONMENT_VARIABLES["enterprise"]) or None
        if standard is None and enterprise is None:
            raise MissingApiKey(
                "there is no API key (yours are at https://modelslab.com/dashboard/api-keys)",
                "standard",
            )
        return cls(standard=standard, enterprise=enterprise)

    def key_for(self, tier: Tier) -> str:
        """
        Return the key for requests of a tier ("standard" or "enterprise").

        If there is no enterprise key, the standard key serves both tiers.

        Raises:
            MissingApiKey: There is no key for the tier.
        """
        key = (self.enterprise or self.standard) if tier == "enterprise" else self.standard
        if key is None:
            raise MissingApiKey(f"this family needs the {tier} key", tier)
        return key

    def key_tier(self, tier: Tier) -> Tier:
        """
        Return the kind of the key that `key_for` returns: "standard" or "enterprise".

        If both keys are equal, return "standard".

        Raises:
            MissingApiKey: There is no key for the tier.
        """
        self.key_for(tier)
        is_same_key = self.enterprise is None or self.enterprise == self.standard
        return "standard" if is_same_key and self.standard else tier

    def digest(self, tier: Tier) -> str:
        """
        Return a hash of the key of a tier.

        Equal keys have equal hashes. A hash does not reveal its key.

        Raises:
            MissingApiKey: There is no key for the tier.
        """
        key = self.key_for(tier).encode()
        return blake2b(key, digest_size=16, person=b"modelslab-key").hexdigest()

    # Each regular expression is compiled at its first use, because compiling takes a few
    # milliseconds.
    @cached_property
    def _json_regex(self) -> re.Pattern[bytes]:
        return re.compile(_key_pattern(self, _json_pattern).encode())

    @cached_property
    def _text_regex(self) -> re.Pattern[str]:
        cut = map(_cut_key_pattern, self.maskable_keys)
        return re.compile("|".join((_key_pattern(self, _any_quoting_pattern), *cut)))

    def redact(self, data: bytes) -> bytes:
        """
        Replace the keys in a body with "[key]".

        Return the same object if `data` contains neither a key nor a NUL byte. With a NUL byte,
        `data` may be UTF-16 or UTF-32, and is converted to UTF-8 first.
        """
        if b"\0" in data:
            # The body may be JSON in UTF-16 or UTF-32, but the code below finds keys only in UTF-8.
            data = data.decode(json.detect_encoding(data), "replace").encode()
        for encoding in self._encodings:
            if encoding in data:
                data = data.replace(encoding, b"[key]")
        # Search for `\` first, because Python finds one byte much faster than several.
        if b"\\" in data and self._encodings and b"\\u00" in data:
            data = self._json_regex.sub(b"[key]", data)
        return data

    def redact_text(self, text: str) -> str:
        """
        Replace the keys in a short text with "[key]", even if their characters are escaped.

        A key whose end is missing is replaced too, if at least its first half and its first 12
        characters are there.
        """
        return self._text_regex.sub("[key]", text) if self._encodings else text

    def is_in(self, text: str) -> bool:
        """Whether a text contains a key."""
        return any(map(text.__contains__, self.maskable_keys))

    def check_ticket(self, ticket: Ticket) -> None:
        """
        Check that the id of a ticket contains no key, because tickets are stored and logged.

        Raises:
            ValueError: The id contains a key. The message does not show the key.
        """
        # Do not call `is_in`, because it is slower than this loop, and a client checks each ticket.
        for key in self.maskable_keys:
            if key in ticket.id:
                message = f"{ticket} is no ticket; give the id from the reply to a submit"
                raise ValueError(self.redact_argument(message))

    def redact_argument(self, message: str) -> str:
        """Replace the keys in an error message with "[key]", and explain "[key]" at its end."""
        redacted = self.redact_text(message)
        return message if redacted == message else f"{redacted}; [key] stands for your API key"
