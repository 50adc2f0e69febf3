"""Submission: an endpoint with the parameters to submit to it, but without the API key."""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from attrs import evolve, field, frozen

from .argument_checks import check_type

_MAX_KEY_LENGTH = 200
# PostgreSQL refuses NUL, and no journal can encode a lone surrogate as UTF-8.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# JSON cannot hold a path, so `to_dict` turns a path into a dictionary with this single key.
_PATH_MARK = "$file"


def _check_endpoint(_instance: object, _attribute: object, value: Any) -> None:
    check_type("endpoint", value, str, "a name such as 'realtime/text2img'")


def _checked_copy(what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        got = f"a value of type {type(value).__name__}"
    elif wrong := [name for name in value if not isinstance(name, str)]:
        got = f"the name {reprlib.repr(wrong[0])}, which is no text"
    else:
        return dict(value)
    raise ValueError(
        f"the {what} are a mapping of names to values, such as {{'prompt': 'a lighthouse'}}, "
        f"got {got}"
    )


def _copy_parameters(value: object) -> dict[str, Any]:
    return _checked_copy("parameters", value)


def _copy_columns(value: object) -> dict[str, Any]:
    return _checked_copy("columns", value)


def _check_key(_instance: object, _attribute: object, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_KEY_LENGTH:
        raise ValueError(
            f"the key of a submission is a text of 1 to {_MAX_KEY_LENGTH} characters or None, "
            f"got {reprlib.repr(value)}"
        )
    if not is_storable(value):
        raise ValueError(
            "the key of a submission holds no NUL character and no half of a surrogate pair, "
            f"because a journal cannot store them, got {reprlib.repr(value)}; leave them out"
        )


def is_storable(text: str) -> bool:
    """Whether every journal can store a text, such as a key or a track_id."""
    return _UNSTORABLE.search(text) is None


@frozen(hash=False)
class Submission:
    """
    The endpoint and parameters of a future submit, and a key by which a batch recognizes it.

    `submit`, `generate` and `generate_many` accept a submission in place of an endpoint's name and
    keyword arguments.

    Args:
        endpoint: `family/endpoint`, such as `"realtime/text2img"`.
        parameters: The endpoint's parameters, keyed by name. A path stands for a file to upload.
        key: The submission key: any string that the caller chooses, such as the number of a row. It
            is not sent. A batch submits each submission key only once, so that no submission is
            paid for twice.
        columns: The submission's row of the input table, keyed by column name. It is not sent, but
            a batch exports it with the outcome.

    Raises:
        ValueError: The parameters or columns do not map strings to values. Or the submission key is
            not a string, is empty, has over 200 characters, or cannot be stored in a journal. Or
            the parameters contain `key`, the name under which the client sends the API key.
        TypeError: The endpoint is not a string.

    Example:
        >>> Submission("realtime/text2img", {"prompt": "a lighthouse"}, key="row 1").key
        'row 1'
    """

    endpoint: str = field(validator=_check_endpoint)
    parameters: Mapping[str, Any] = field(
        factory=dict, converter=_copy_parameters, repr=reprlib.repr
    )
    key: str | None = field(default=None, validator=_check_key)
    columns: Mapping[str, Any] = field(
        factory=dict, converter=_copy_columns, repr=False, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if "key" in self.parameters:
            raise ValueError(
                f"{self.endpoint} takes its parameters without `key`, which the client adds when "
                "it sends; leave it out"
            )

    @classmethod
    def of(cls, endpoint: "str | Submission", parameters: Mapping[str, Any]) -> "Submission":
        """
        Return the given submission, or make one from an endpoint's name and parameters.

        Raises:
            TypeError: Both a submission and parameters were given, or the endpoint is not a string.
            ValueError: See `Submission`.
        """
        if not isinstance(endpoint, Submission):
            return cls(endpoint, parameters)
        if parameters:
            raise TypeError(
                f"a Submission has all its parameters, got {', '.join(parameters)} beside it; put "
                "them into the Submission"
            )
        return endpoint

    def with_key(self, key: str) -> Self:
        """
        Return a copy of the submission with another submission key.

        Raises:
            ValueError: The key is empty or longer than 200 characters, or no journal can store it.
        """
        return evolve(self, key=key)

    def with_columns(self, columns: Mapping[str, Any]) -> Self:
        """
        Return a copy of the submission with another row of the input table.

        Args:
            columns: The row, keyed by column name. It replaces the earlier row.

        Raises:
            ValueError: `columns` does not map strings to values.
        """
        return evolve(self, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """
        Turn the submission into a dictionary that `json.dumps` accepts.

        In the dictionary, a path is a dictionary with the single key `$file`.

        Raises:
            ValueError: A parameter contains bytes or an open file; give a path instead. Or it
                contains a mapping with the single key `$file`, which is reserved for paths.
        """
        parameters = {name: _encode(name, value) for name, value in self.parameters.items()}
        record = {"endpoint": self.endpoint, "parameters": parameters, "key": self.key}
        return record | ({"columns": dict(self.columns)} if self.columns else {})

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """
        Turn a dictionary from `to_dict` back into the submission.

        Raises:
            ValueError: The dictionary does not come from `to_dict`.
        """
        match record:
            case {"endpoint": str(endpoint), "parameters": Mapping() as parameters, **rest} if (
                rest.keys() <= {"key", "columns"}
            ):
                decoded = {name: _decode(value) for name, value in parameters.items()}
                return cls(endpoint, decoded, rest.get("key"), columns=rest.get("columns", {}))
            case _:
                raise ValueError(
                    "a submission is a dictionary with 'endpoint', 'parameters' and 'key', "
                    f"got {reprlib.repr(record)}"
                )


def _encode(name: str, value: Any) -> Any:
    match value:
        case list() | tuple():
            return [_encode(name, item) for item in value]
        case Mapping() if value.keys() == {_PATH_MARK}:
            raise ValueError(
                f"the map for {name!r} has the single name {_PATH_MARK!r}, which marks a path; "
                "add another name, or give a Path"
            )
        case bytes() | bytearray() | memoryview():
            raise _not_json(name, value)
        case _ if hasattr(value, "__fspath__"):
            return {_PATH_MARK: str(Path(value))}
        case _ if callable(getattr(value, "read", None)):
            raise _not_json(name, value)
        case _:
            return value


def _decode(value: Any) -> Any:
    match value:
        case list():
            return [_decode(item) for item in value]
        case {"$file": str(path), **rest} if not rest:
            return Path(path)
        case _:
            return value


def _not_json(name: str, value: object) -> ValueError:
    return ValueError(
        f"JSON cannot carry the file for {name!r}, a {type(value).__name__}; give its path"
    )
