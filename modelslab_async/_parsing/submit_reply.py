"""Receipts: what a server said to one submit becomes a ticket to wait for, or why there is none."""

from collections.abc import Iterator, Mapping
from typing import Any

from .._models.errors import GenerationFailed, InvalidRequest, ModelsLabError, UnreadableReply
from .._models.replies import Failed, Processing, Success
from .._models.ticket import Ticket
from .._registry.family import Family
from .json_body import UnreadableBodyError, first_text, parse_body
from .reply import read_reply
from .retry_after import Headers

_ID_FIELDS = ("training_id", "execution_id", "id", "request_id", "taskId")


def read_submit_reply(
    family: Family,
    params: Mapping[str, Any],
    *,
    status_code: int,
    headers: Headers = (),
    body: bytes,
    families: Mapping[str, Family],
    local_id: str,
    received_at: float | None = None,
) -> Processing | Success:
    """
    Read what a server said to one submit.

    The family decides where the ticket will be fetched. The `fetch_result` of the reply counts only
    where the reply has no id, and only if it is an address of a registered family.

    Args:
        family: The family that resolves the endpoint's tickets.
        params: What was submitted; ids of two parts have one of them from here.
        status_code: The HTTP status.
        headers: The HTTP headers.
        body: The bytes of the body.
        families: The registry, on the hosts in use.
        unnamed: What tells this work from all other if the service names no id.
        received_at: Seconds since 1970 when the reply came.

    Raises:
        Refused: The server refuses the key, the plan or the request; nothing was started.
        RateLimited: Too many requests; nothing was started.
        GenerationFailed: The work was taken and failed at once.
        TransientError: The reply does not say whether anything was started.
    """
    ticket = _find_ticket(body, family, params, families)
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
        error.ticket = None
        raise
    match reply:
        case Success():
            return reply
        case Processing() if ticket:
            return reply
        case Processing():
            raise UnreadableReply(
                "the server took the work and named no id", server_message=reply.message
            )
        case Failed():
            raise _submit_error(reply, ticket, status_code)


def _submit_error(reply: Failed, ticket: Ticket | None, status_code: int) -> ModelsLabError:
    """Work that failed at once has an id, or the status `failed`; all else never began."""
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


def _find_ticket(
    body: bytes, family: Family, params: Mapping[str, Any], families: Mapping[str, Family]
) -> Ticket | None:
    try:
        fields = parse_body(body)
    except UnreadableBodyError:
        return None
    for id_ in _candidate_ids(fields, family, params):
        if ticket := _make_ticket(family, id_):
            return ticket
    return _ticket_from_url(first_text(fields, "fetch_result"), families)


def _candidate_ids(
    fields: Mapping[str, Any], family: Family, params: Mapping[str, Any]
) -> Iterator[object]:
    first, *others = family.id_parts or ("id",)
    if others:
        *parent_fields, run_field = (first, *others)
        parent_ids = [fields.get(name) or params.get(name) for name in parent_fields]
        run_id = next((fields[name] for name in (run_field, *_ID_FIELDS) if fields.get(name)), None)
        if all(parent_ids) and run_id:
            yield "/".join(map(str, (*parent_ids, run_id)))
        return
    for name in _ID_FIELDS:
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


def _ticket_from_url(url: str, families: Mapping[str, Family]) -> Ticket | None:
    """The ticket that an address stands for, if a family is fetched there."""
    for family in families.values():
        # The service names the path form also where its documents put the id into the body.
        prefix = f"{family.url}/" if family.id_field else family.url.partition("{")[0]
        id_ = url.removeprefix(prefix)
        if url.startswith(prefix) and id_.isalnum():
            return _make_ticket(family, id_)
    return None
