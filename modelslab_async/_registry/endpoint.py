"""Endpoint: a named request to the service. It builds the request, but sends nothing."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from attrs import evolve, field, frozen

from .._models.key_kind import Tier
from .family import Call, KeyLocation, Medium, Method
from .field_validators import matching, one_of
from .service_hosts import BASE_URL, LEGACY_BASE_URL
from .suggestions import closest_name
from .url_template import fill_hosts, is_absolute_url, placeholders

# According to the service's documentation, a parameter takes a file if its name has one of these
# words. The exceptions are in `_NOT_FILE_PARAMETERS`.
_FILE_WORDS = frozenset({"image", "images", "audio", "video"})
_NOT_FILE_PARAMETERS = frozenset({"multi_image", "generate_audio", "image_guidance_scale"})


def _check_url(endpoint: "Endpoint", _attribute: object, value: str) -> None:
    if not is_absolute_url(value):
        raise ValueError(
            f"the url of endpoint {endpoint.name!r} starts with {{base}}, {{legacy}} or https:// "
            f"and has no query and no fragment, got {value!r}"
        )


def _refuse_non_finite(value: object) -> None:
    """
    Refuse NaN and Infinity at any depth of a value, because JSON has no such numbers.

    Raises:
        ValueError: A number is NaN or infinite.
        RecursionError: The value is nested too deeply, or contains itself.
    """
    match value:
        case float() if not math.isfinite(value):
            raise ValueError(value)
        case dict():
            for name, inner in value.items():
                _refuse_non_finite(name)
                _refuse_non_finite(inner)
        case list() | tuple():
            for inner in value:
                _refuse_non_finite(inner)


class MissingParameters(ValueError):
    """
    A submit lacks required parameters.

    Attributes:
        names: The missing parameters. If at least one of several parameters is required, only the
            first of them is listed.
    """

    # `names` is optional, because pickle passes only the message.
    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


@frozen(kw_only=True)
class Endpoint:
    """
    One row of the table of endpoints: a named request to the service.

    Most endpoints start work and make a ticket. The others answer at once.

    The endpoint refuses a submit if a required parameter is missing, or if a name looks like a
    misspelling of a known name. It accepts unknown names, because the service keeps adding
    parameters. It does not check values.

    Args:
        name: `family/endpoint`, such as `realtime/text2img`.
        url: The URL template. `{base}` and `{legacy}` stand for the two hosts of the service. Every
            other name in braces stands for a parameter.
        resolved_by: The family of the endpoint's tickets. None if the endpoint makes no ticket,
            because its reply is already the result.
        required: Parameters that a submit must give.
        any_of: Groups of parameters. A submit must give at least one of each group.
        optional: All other known parameters.
        files: Parameters that take a link to a file although their names do not show it.
        method: The HTTP method.
        key_in: The location of the API key: `body`, `header` or `query`.
        tier: The tier of the API key: `standard` or `enterprise`.
        output: The media of the results. Empty if the endpoint makes no files.
        repeatable: Whether a request may be sent twice. True only if the request starts, stores and
            costs nothing.
        allows_extra: Whether the endpoint accepts any other parameter. A workflow does, because it
            defines its own inputs.
        known_elsewhere: Parameters of other endpoints. Their names never count as misspelled.
        doc: The documentation page of the endpoint, or "" if there is none.
        note: A remark for users.

    Example:
        >>> paint = Endpoint(
        ...     name="v9_images/paint",
        ...     url="{base}/v9/images/paint",
        ...     resolved_by="v9_images",
        ...     required=("prompt",),
        ... )
        >>> paint.build_submit({"prompt": "a lighthouse"}).url
        'https://modelslab.com/api/v9/images/paint'
    """

    name: str = field(
        validator=matching(
            r"[A-Za-z][A-Za-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9_-]*",
            "the name of an endpoint",
            "a family and a name with a slash between them, of letters, digits, '-' and '_', such "
            "as 'v9_images/paint'",
        )
    )
    url: str = field(validator=_check_url)
    resolved_by: str | None
    required: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()
    optional: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    method: Method = field(default="POST", validator=one_of(("GET", "POST")))
    key_in: KeyLocation = field(default="body", validator=one_of(("body", "header", "query")))
    tier: Tier = field(default="standard", validator=one_of(("standard", "enterprise")))
    output: tuple[Medium, ...] = ()
    repeatable: bool = False
    allows_extra: bool = False
    known_elsewhere: frozenset[str] = field(default=frozenset(), repr=False, eq=False)
    doc: str = ""
    note: str = ""

    def __attrs_post_init__(self) -> None:
        if self.method == "GET" and self.key_in == "body":
            raise ValueError(f"endpoint {self.name!r}: a GET carries no body for the key")
        if undeclared := [name for name in self.path_params if name not in self.required]:
            raise ValueError(
                f"endpoint {self.name!r} has {', '.join(undeclared)} in its url, which must "
                f"be among its required parameters, got {self.required!r}"
            )

    @property
    def path_params(self) -> tuple[str, ...]:
        """The parameters that become part of the URL's path."""
        return placeholders(self.url)

    @property
    def parameters(self) -> tuple[str, ...]:
        """All known parameters: required, alternative and optional ones."""
        alternatives = (name for group in self.any_of for name in group)
        return tuple(dict.fromkeys((*self.required, *alternatives, *self.optional)))

    def with_hosts(self, *, base: str = BASE_URL, legacy: str = LEGACY_BASE_URL) -> "Endpoint":
        """Return a copy whose URL has `base` and `legacy` in place of `{base}` and `{legacy}`."""
        return evolve(self, url=fill_hosts(self.url, base=base, legacy=legacy))

    def takes_file(self, name: str) -> bool:
        """
        Whether a parameter takes a link to a file.

        A parameter takes a file if it is in `files`, or if `image`, `images`, `audio` or `video` is
        a word of its name. The exceptions are `multi_image`, `generate_audio` and
        `image_guidance_scale`. If the endpoint has `allows_extra`, all unknown parameters take
        files.
        """
        if name in self.files or (self.allows_extra and name not in self.parameters):
            return True
        return name not in _NOT_FILE_PARAMETERS and not _FILE_WORDS.isdisjoint(name.split("_"))

    def check(self, params: Mapping[str, Any]) -> None:
        """
        Check the names of parameters, and whether JSON and the URL can contain the values.

        Raises:
            ValueError: A required parameter is missing, a name looks misspelled, a parameter is
                named `key`, or a number is NaN or infinite. Or a parameter of the URL cannot be a
                path segment, for example because it is empty.
        """
        if "key" in params:
            raise ValueError(
                f"{self.name} takes its parameters without `key`, which the client adds when it "
                f"sends; leave it out"
            )
        if not self.allows_extra:
            self._check_spelling(params)
        for name, value in params.items():
            self._check_numbers(name, value)
        given = [name for name, value in params.items() if value is not None]
        missing: list[tuple[str, ...]] = [(name,) for name in self.required if name not in given]
        missing += [group for group in self.any_of if not {*group} & {*given}]
        if missing:
            needed = ", ".join(map(" or ".join, missing))
            raise MissingParameters(
                f"{self.name} needs {needed}, got {', '.join(given) or 'nothing'}; "
                f"{self._help_hint}",
                tuple(group[0] for group in missing),
            )
        for name in self.path_params:
            self._path_segment(name, params[name])

    def _check_spelling(self, params: Mapping[str, Any]) -> None:
        known = self.parameters
        for name in params:
            if name in known or name in self.known_elsewhere:
                continue
            if (suggestion := closest_name(name, known)) is not None:
                raise ValueError(
                    f"{self.name} expects {suggestion!r}, got {name!r}, which looks like a "
                    f"misspelling of it; {self._help_hint}"
                )

    @property
    def _help_hint(self) -> str:
        # The command `modelslab-async endpoints` lists only this package's own endpoints. These are
        # the endpoints that have `known_elsewhere`.
        if self.known_elsewhere:
            return f"`modelslab-async endpoints {self.name}` lists its parameters"
        return f"its parameters are {', '.join(self.parameters) or 'none'}"

    def _check_numbers(self, name: str, value: object) -> None:
        try:
            _refuse_non_finite(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{self.name}: {name!r} is what JSON can carry, such as finite numbers, texts, and "
                f"lists or maps of these, got another value ({error}); leave it out or replace it"
            ) from None

    def build_submit(self, params: Mapping[str, Any]) -> Call:
        """
        Build the request of a submit. A parameter that is None is left out.

        Raises:
            ValueError: The parameters do not fit this endpoint.
        """
        self.check(params)
        given = {name: value for name, value in params.items() if value is not None}
        path_params = {name: self._path_segment(name, given.pop(name)) for name in self.path_params}
        url = fill_hosts(self.url)
        return Call(
            method=self.method,
            url=url.format_map(path_params) if path_params else url,
            fields=given,
            key_in=self.key_in,
            tier=self.tier,
            repeatable=self.repeatable,
        )

    def _path_segment(self, name: str, value: object) -> str:
        text = str(value)
        if text.strip() not in ("", ".", ".."):
            # A lone surrogate cannot be encoded as UTF-8, so it cannot be part of a URL.
            with suppress(UnicodeEncodeError):
                return quote(text, safe="")
        raise ValueError(
            f"{self.name} puts {name!r} into its path as one segment, a text other than '', '.' "
            f"and '..', got {text!r}; give the id or name that the service shows"
        )
