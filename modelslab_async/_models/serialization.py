"""Turns replies and outcomes into dictionaries that JSON can hold, and back."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

from . import download_errors, errors, journal_errors, unsent_errors
from .errors import GenerationFailed, ModelsLabError, WaitTimeout
from .replies import Failed, Processing, Reply, Success
from .ticket import Ticket
from .unresolved_outcomes import Outcome, Unresolved

Record: TypeAlias = dict[str, Any]
_Serializable: TypeAlias = Processing | Success | Failed | Unresolved
_KIND_NAMES: Mapping[type, str] = {
    Processing: "processing",
    Success: "success",
    Failed: "failed",
    Unresolved: "unresolved",
}
# The classes of errors that `_read_error` can make from a message. A `GenerationFailed` is made
# from a reply.
_ERRORS_BY_NAME: Mapping[str, type[ModelsLabError]] = {
    name: kind
    for module in (errors, download_errors, journal_errors, unsent_errors)
    for name, kind in vars(module).items()
    if isinstance(kind, type)
    and issubclass(kind, ModelsLabError)
    and not issubclass(kind, GenerationFailed)
}
# The attributes of an error that its dictionary contains, besides the message. The ticket and the
# last reply are left out, because the dictionary of the outcome already contains them.
_ERROR_FIELDS = (
    *("status_code", "server_message", "retry_after"),
    *("may_have_been_sent", "endpoint", "track_id"),
)
# The fields that an export adds to the dictionary of an outcome. `from_dict` ignores them.
_EXPORT_FIELDS = ("files", "track_id", "endpoint", "key", "input")


def to_dict(value: Reply | Outcome) -> Record:
    """
    Turn a reply or an outcome into a dictionary that `json.dumps` accepts.

    In the dictionary, `kind` names the class, `ticket` is a string, and `raw` is the whole body of
    the reply.
    """
    record: Record = _converter().unstructure(value, unstructure_as=_Serializable)
    return record


def from_dict(record: Mapping[str, Any]) -> Reply | Outcome:
    """
    Turn a dictionary from `to_dict` or from an export back into the reply or outcome.

    Raises:
        ValueError: The dictionary does not come from `to_dict`.
    """
    match record:
        case {"kind": kind} if kind in _KIND_NAMES.values():
            fields = {name: record[name] for name in record if name not in _EXPORT_FIELDS}
            value = _read(fields, kind)
        case _:
            kinds = ", ".join(_KIND_NAMES.values())
            raise ValueError(
                f"a record is a dictionary with a 'kind' of {kinds}; got {record!r:.80}"
            )
    if isinstance(value, Unresolved):
        value.cause.ticket = value.ticket
        if isinstance(value.cause, WaitTimeout):
            value.cause.last = value.last
    return value


def _read(record: Mapping[str, Any], kind: str) -> Reply | Outcome:
    try:
        value: Reply | Outcome = _converter().structure(dict(record), _Serializable)
    except Exception as error:
        raise ValueError(f"no record of {kind!r} that to_dict could have written") from error
    return value


def _write_error(error: ModelsLabError) -> Record:
    details = {name: getattr(error, name) for name in _ERROR_FIELDS if hasattr(error, name)}
    return {"error": _recorded_class_name(error), "message": error.message, **details}


def _recorded_class_name(error: ModelsLabError) -> str:
    """Return the name of the error's class, or of the nearest base class that can be read back."""
    kinds = type(error).__mro__
    return next(kind.__name__ for kind in kinds if _ERRORS_BY_NAME.get(kind.__name__) is kind)


def _read_error(record: Mapping[str, Any], _type: object) -> ModelsLabError:
    error: ModelsLabError = _ERRORS_BY_NAME[record["error"]](record["message"])
    for name in _ERROR_FIELDS:
        # A record of an older version may lack a field. The field then keeps its default value.
        if hasattr(error, name) and name in record:
            setattr(error, name, record[name])
    return error


def _read_strings(value: object, _type: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"a list of texts, got {value!r:.80}")
    return tuple(value)


@cache
def _converter() -> Any:
    # Import cattrs on first use, because this takes longer than importing all of `_models`.
    from cattrs import Converter  # noqa: PLC0415
    from cattrs.strategies import configure_tagged_union  # noqa: PLC0415

    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _read_strings)
    converter.register_unstructure_hook(Ticket, str)
    converter.register_structure_hook(Ticket, lambda text, _: Ticket.parse(text))
    converter.register_unstructure_hook_func(
        lambda cls: isinstance(cls, type) and issubclass(cls, ModelsLabError), _write_error
    )
    converter.register_structure_hook(ModelsLabError, _read_error)
    configure_tagged_union(
        _Serializable, converter, tag_name="kind", tag_generator=lambda cls: _KIND_NAMES[cls]
    )
    return converter
