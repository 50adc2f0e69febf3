"""Turns the response to a submit into a reply with a ticket, or a typed error."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from .._models.errors import GenerationFailed, InvalidRequest, ModelsLabError, UnreadableReply
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket
from .._registry.family import Family
from .json_body import UnreadableBodyError, first_text, parse_body
from .reply import read_reply
from .retry_after import Headers

_SUBMIT_ID_FIELDS = ("training_id", "execution_id", "id", "request_id", "taskId")
# In an error, a `request_id` alone names no job: gateways put one into each reply, to trace it.
_JOB_ID_FIELDS = tuple(name for name in _SUBMIT_ID_FIELDS if name != "request_id")


def read_submit_reply(
    family: Family,
    params: Mapping[str, Any],
    *,
    status_code: int,
    headers: Headers = (),
    body: bytes,
    families: Mapping[str, Family],
    default_families: Mapping[str, Family] | None = None,
    local_id: str,
    received_at: float | None = None,
) -> Processing | Success:
    """
    Read the response to one submit.

    The ticket has the endpoint's family and the id from the reply, or else both from the URL in
    `fetch_result`. An error has a ticket if the reply names a job. Then the work may have begun.

    Args:
        family: The family of the endpoint's tickets.
        params: The parameters of the submit. If an id has several parts, the first parts may come
            from the parameters.
        status_code: The HTTP status.
        headers: The HTTP headers.
        body: The bytes of the body.
        families: The families, keyed by name. Their URLs begin with the client's base URLs.
        default_families: The families with the default base URLs; None if the client uses these.
        local_id: A unique string that the ticket gets if the service gives no id.
        received_at: The time of the response, in seconds since 1970.

    Raises:
        Refused: The server refuses the API key, the plan or the request.
        RateLimited: There were too many requests.
        GenerationFailed: The work was accepted and failed at once.
        TransientError: The reply does not say whether work was started.
    """
    ticket, error_ticket = _find_tickets(body, family, params, (families, default_families or {}))
    try:
        reply = read_reply(
            ticket or Ticket.without_id(family.name, local_id),
            status_code=status_code,
            headers=headers,
            body=body,
            families=families,
            received_at=received_at,
        )
    except ModelsLabError as error:
        error.ticket = error_ticket
        raise
    return _check_accepted(reply, ticket, status_code)


def _check_accepted(reply: Reply, ticket: Ticket | None, status_code: int) -> Processing | Success:
    """Return the reply if the server accepted the work. Otherwise, raise an error."""
    match reply:
        case Failed():
            raise _submit_error(reply, ticket, status_code)
        case Processing() if ticket is None:
            raise UnreadableReply(
                "the server accepted the work and gave no id", server_message=reply.message
            )
        case _:
            return reply


def _submit_error(reply: Failed, ticket: Ticket | None, status_code: int) -> ModelsLabError:
    """
    Make the error of a failed submit.

    If the reply has an id or the status `failed`, the work began, and the error is a
    `GenerationFailed`. Otherwise, the service refused the request, and the error is an
    `InvalidRequest`. A reply that means "not found" is always a refusal, even if it names a job.
    """
    has_started = ticket is not None or first_text(reply.raw, "status").casefold() == "failed"
    if has_started and reply.reason != "not_found":
        error = GenerationFailed.of(reply)
        error.ticket = ticket
        return error
    return InvalidRequest(
        reply.message or f"the server answered {status_code} and gave no reason",
        status_code=status_code,
        server_message=reply.message,
    )


def _find_tickets(
    body: bytes,
    family: Family,
    params: Mapping[str, Any],
    registries: Iterable[Mapping[str, Family]],
) -> tuple[Ticket | None, Ticket | None]:
    """
    Return the ticket of a reply that accepts the submit, and that of a reply that is an error.

    The two differ if the only id is a `request_id`: then an error names no job.
    """
    try:
        fields = parse_body(body)
    except UnreadableBodyError:
        return None, None
    # If the base URL leads to a proxy, the link in the reply may still lead to the service's own
    # host. So compare the link with the default URLs too.
    url_families = [family for registry in registries for family in registry.values()]
    find = partial(_find_ticket, fields, family, params, url_families)
    return find(_SUBMIT_ID_FIELDS), find(_JOB_ID_FIELDS)


def _find_ticket(
    fields: Mapping[str, Any],
    family: Family,
    params: Mapping[str, Any],
    url_families: Iterable[Family],
    id_fields: Sequence[str],
) -> Ticket | None:
    for id_ in _candidate_ids(fields, family, params, id_fields):
        if ticket := _make_ticket(family, id_):
            return ticket
    return _ticket_from_url(first_text(fields, "fetch_result"), url_families)


def _candidate_ids(
    fields: Mapping[str, Any],
    family: Family,
    params: Mapping[str, Any],
    id_fields: Sequence[str],
) -> Iterator[object]:
    first, *others = family.id_parts or ("id",)
    if others:
        *parent_fields, run_field = (first, *others)
        parent_ids = [fields.get(name) or params.get(name) for name in parent_fields]
        run_id = next((fields[name] for name in (run_field, *id_fields) if fields.get(name)), None)
        if all(parent_ids) and run_id:
            yield "/".join(map(str, (*parent_ids, run_id)))
        return
    for name in id_fields:
        value = fields.get(name)
        if value and isinstance(value, (int, str)) and not isinstance(value, bool):
            yield value


def _make_ticket(family: Family, id_: object) -> Ticket | None:
    try:
        ticket = Ticket(family.name, str(id_))
        family.check(ticket)
    except ValueError:
        return None
    return ticket


def _ticket_from_url(url: str, families: Iterable[Family]) -> Ticket | None:
    """Return the ticket that is polled at this URL; None if the URL belongs to no family."""
    for family in families:
        # The URL in `fetch_result` ends with the id, even if polls of the family send the id in the
        # body.
        prefix = f"{family.url}/" if family.id_field else family.url.partition("{")[0]
        id_ = url.removeprefix(prefix)
        if url.startswith(prefix) and id_.isalnum():
            return _make_ticket(family, id_)
    return None
