"""SubmitExchange: sends one submit once, and returns the reply or an error. It never retries."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import evolve, field, frozen

from .._models.errors import (
    ConnectionImpossible,
    GenerationFailed,
    InvalidRequest,
    ModelsLabError,
    RateLimited,
    Refused,
    ServerError,
    SubmitUncertain,
    TransientError,
    TransportError,
)
from .._models.replies import Processing, Success
from .._models.ticket import Ticket
from .._parsing.submit_reply import read_submit_reply
from .._registry.family import Family
from .._transport.sender import Sender
from .._transport.transport_protocol import Request
from .exchange_error_translation import exchange_failure, name_endpoint
from .request_building import build_request
from .submit_request import SubmitRequest

SubmitReply: TypeAlias = Processing | Success
"""The server's reply to a submit that started work."""


@frozen
class BuiltSubmit:
    """
    A submit that is ready to be sent.

    Attributes:
        submit_request: The request to start work.
        http_request: The same request as bytes, with the API key.
    """

    submit_request: SubmitRequest
    http_request: Request = field(repr=False)


class SubmitExchange:
    """
    Sends submits and reads their replies.

    Args:
        families: The ticket families, keyed by name.
        default_families: The same families with the default base URLs. Replies may contain these
            URLs even if `families` has others.
        sender: Sends the requests.
        timeout: The maximum number of seconds that one submit may take.
    """

    def __init__(
        self,
        families: Mapping[str, Family],
        default_families: Mapping[str, Family],
        sender: Sender,
        timeout: float,
    ) -> None:
        self._families = families
        self._default_families = default_families
        self._sender = sender
        self._timeout = timeout

    def build(self, submit_request: SubmitRequest) -> BuiltSubmit:
        """
        Build the HTTP request of a submit. Nothing is sent, so after an error no work is started.

        Raises:
            InvalidRequest: The request cannot be written as JSON, or an endpoint that the caller
                defined raised an exception in `build_submit`. That exception is the `__cause__`.
        """
        endpoint, params = submit_request.endpoint, submit_request.params
        return BuiltSubmit(submit_request, build_request(endpoint, params, self._sender))

    async def send(
        self,
        built_submit: BuiltSubmit,
        connect_timeout: float | None,
        *,
        check_sendable: Callable[[], None],
    ) -> SubmitReply | ModelsLabError:
        """
        Send a submit once.

        Args:
            built_submit: The submit, from `build`.
            connect_timeout: How many seconds to wait for a connection; None for the transport's
                limit.
            check_sendable: Raises an error if the submit must no longer be sent. The transport
                calls it directly before it writes the first byte.

        Returns:
            The reply, or an error. A `SubmitUncertain` says that work may or may not have been
            started. With any other error, it is certain whether work was started.
        """
        submit_request = built_submit.submit_request
        http_request = evolve(built_submit.http_request, check_sendable=check_sendable)
        built_submit = evolve(built_submit, http_request=http_request)
        try:
            return await self._reply_to(built_submit, connect_timeout)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- a transport may raise anything.
            failure = exchange_failure(error)
        if _may_have_started(failure):
            uncertain = uncertain_error(submit_request, failure.message, failure.ticket)
            uncertain.__cause__ = failure
            return uncertain
        if isinstance(failure, InvalidRequest):
            name_endpoint(failure, submit_request.endpoint.name)
        if isinstance(failure, GenerationFailed):
            # The error's message comes from the server. It names neither the endpoint nor the
            # request, so add a note with both.
            failure.add_note(
                f"the submit was to {submit_request.endpoint.name}, with {_id_text(submit_request)}"
            )
        return failure

    async def _reply_to(
        self, built_submit: BuiltSubmit, connect_timeout: float | None
    ) -> SubmitReply | ModelsLabError:
        submit_request = built_submit.submit_request
        response = await self._sender.send(
            built_submit.http_request, timeout=self._timeout, connect_timeout=connect_timeout
        )
        return read_submit_reply(
            self._families[submit_request.endpoint.resolved_by or ""],
            submit_request.params,
            status_code=response.status_code,
            headers=response.headers,
            body=response.body,
            families=self._families,
            default_families=self._default_families,
            local_id=secrets.token_hex(8),
            received_at=time.time(),
        )


def _may_have_started(error: ModelsLabError) -> bool:
    """Whether a submit may have started work although it failed with this error."""
    match error:
        case TransportError() | ConnectionImpossible():
            return error.may_have_been_sent
        case RateLimited() | Refused():
            # The reply contradicts itself if it names a job. Then do not submit, and pay, again.
            return error.ticket is not None
        case _:
            return isinstance(error, TransientError)


def uncertain_error(
    submit_request: SubmitRequest, reason: str, ticket: Ticket | None = None
) -> SubmitUncertain:
    """
    Return the error for a submit that may or may not have started work.

    Args:
        submit_request: The request of the submit.
        reason: Why it is uncertain.
        ticket: The ticket that an error reply names; None if it names none.
    """
    named = f"the reply names {ticket}, so wait for it first; " if ticket else ""
    where = "or in a webhook with that track_id" if submit_request.track_id else "by its time"
    return SubmitUncertain(
        f"{submit_request.endpoint.name} ({_id_text(submit_request)}): {reason}; {named}"
        "the work may or may not have been started; look for it in what the service shows of your "
        f"account {where} before you submit, and pay, again",
        ticket=ticket,
        endpoint=submit_request.endpoint.name,
        track_id=submit_request.track_id,
        payload_hash=submit_request.payload_hash,
    )


def _id_text(submit_request: SubmitRequest) -> str:
    return f"track_id {submit_request.track_id}" if submit_request.track_id else "no track_id"


def is_retryable(error: ModelsLabError) -> bool:
    """Whether a submit that failed without starting work can be retried."""
    match error:
        case TransportError():
            return not error.may_have_been_sent
        case _:
            # A `ServerError` here comes from an upload. For a submit, `SubmitExchange` turns a
            # `ServerError` into a `SubmitUncertain`.
            return isinstance(error, (RateLimited, ServerError))
