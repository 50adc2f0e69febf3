"""EndpointRequests: checks requests, and calls the endpoints that make no ticket."""

import asyncio
import json
import reprlib
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from .._models.errors import ClientClosed, InvalidRequest, TransportError, UnusableFile
from .._models.key_kind import Tier
from .._models.submission import Submission, is_storable
from .._models.ticket import encode_columns
from .._parsing.utility_reply import read_utility_reply
from .._registry.endpoint import Endpoint
from .._registry.family import Family
from .._registry.suggestions import closest_name, did_you_mean
from .._transport.error_redaction import redacted_error
from .._transport.sender import Sender
from .._transport.transport_protocol import Request
from .exchange_error_translation import name_endpoint
from .file_reading import Upload, files_in, with_uploads
from .request_building import build_request
from .submit_request import SubmitRequest, hash_payload
from .uploader import UPLOAD_ENDPOINT
from .webhook_addresses import check_webhook_address

T = TypeVar("T")

CLOSED_MESSAGE = "the client was closed; nothing was started"
# PostgreSQL refuses longer values in an index, such as the one that finds a submit by its track_id.
_MAX_TRACK_ID_BYTES = 2_000


class EndpointRequests:
    """
    Checks requests before they are sent, and calls utility endpoints, which make no ticket.

    Args:
        endpoints: The endpoints, keyed by name.
        families: The ticket families, keyed by name.
        sender: Sends the calls to utility endpoints.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        families: Mapping[str, Family],
        sender: Sender,
    ) -> None:
        self._endpoints = endpoints
        self._families = families
        self._sender = sender
        self._closing = asyncio.Event()

    def check(self, name: str, params: Mapping[str, Any], key: str | None = None) -> Endpoint:
        """
        Check the endpoint, the parameters and the submission key of a request.

        Raises:
            ValueError: The endpoint is unknown or starts no work. Or a parameter, a file, the
                webhook address or the track_id is invalid. Or the client has no API key for the
                endpoint. Or the submission key or the track_id contains the API key.
        """
        endpoint = self._endpoint(name)
        if endpoint.resolved_by is None:
            raise ValueError(f"{name} starts no work and makes no ticket; use client.ask({name!r})")
        self._check_params(endpoint, params)
        track_id = params.get("track_id")
        # A submission key and a track_id must not contain the API key, because they are recorded
        # and logged unchanged.
        for what, given in (("key of a submission", key), ("track_id", track_id)):
            if given is not None and self._sender.credentials.is_in(str(given)):
                raise ValueError(
                    f"the {what} names it in journals, exports and logs, but this one contains the "
                    "API key (not shown); give another, such as the number of the row"
                )
        # An empty address needs no check: the service then sends no webhook.
        if (webhook := params.get("webhook")) not in (None, ""):
            check_webhook_address("webhook", webhook)
        for parameter, file in files_in(params):
            self._check_file(endpoint, parameter, file)
        _check_track_id(track_id)
        return endpoint

    def _check_params(self, endpoint: Endpoint, params: Mapping[str, Any]) -> None:
        self._sender.credentials.key_tier(endpoint.tier)
        try:
            endpoint.check(params)
        except ValueError as error:
            # Redact the message: a caller may have passed the API key as the name of a parameter.
            error.args = (self._sender.credentials.redact_argument(str(error)),)
            raise

    def check_keyword(self, method: str, keyword: str, params: Mapping[str, Any]) -> None:
        """
        Refuse a parameter whose name looks like a misspelling of the argument `keyword`.

        `method` is the name of the client's method that takes the argument, for the message.

        Raises:
            TypeError: A parameter has a name that is similar to `keyword` and that no endpoint
                knows.
        """
        for name in params:
            if closest_name(name, (keyword,)) and not any(
                name in row.parameters for row in self._endpoints.values()
            ):
                raise TypeError(
                    f"{method} expects {keyword!r}, got {name!r}, which looks like a misspelling "
                    "of it; nothing was sent. If the endpoint takes it, put it into a Submission"
                )

    async def prepare(self, submission: Submission) -> SubmitRequest:
        """
        Check a submission, read the files in its parameters, and return the request.

        Raises:
            ValueError: `check` rejects the submission, or JSON cannot represent its parameters.
            UnusableFile: A file cannot be read, is empty, or is too large.
        """
        endpoint = self.check(submission.endpoint, submission.parameters, submission.key)
        uploads = await self._read_files(with_uploads(submission.parameters))
        columns = self._redacted(submission)
        return SubmitRequest.of(endpoint, uploads, submission.key, columns)

    async def read_file(self, upload: Upload) -> str:
        """
        Return a file of a request as a data URL.

        Raises:
            UnusableFile: The file cannot be read any more, or has changed.
        """
        return await self._read_files(upload.data_url())

    async def _read_files(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except UnusableFile as error:
            # Redact the message: the path of a file may contain the API key.
            raise redacted_error(error, self._sender.credentials) from error.__cause__

    def _redacted(self, submission: Submission) -> dict[str, Any]:
        """Return the columns of a submission, with the API key redacted."""
        encoded = encode_columns(submission.columns, submission.endpoint)
        if not encoded:
            return {}
        redacted: dict[str, Any] = json.loads(self._sender.credentials.redact(encoded.encode()))
        return redacted

    async def ask(
        self,
        name: str,
        params: Mapping[str, Any],
        connect_timeout: float | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """
        Call an endpoint that makes no ticket, and return the body of the reply.

        Args:
            name: The name of the endpoint.
            params: The parameters of the call.
            connect_timeout: The connect timeout in seconds; None for the transport's own.
            timeout: How many seconds to wait for the reply; None for the timeout of polls.

        Raises:
            TransientError: No usable reply came.
            Refused: The server refused the request.
            ConnectionImpossible: No connection can be made with the present settings.
            ClientClosed: The client was closed before the reply came.
            ValueError: The endpoint is unknown or makes tickets, the parameters do not fit it, or
                the client has no API key for it.
        """
        request = self._build_question(name, params)
        self.check_open()
        try:
            response = await self._sender.send(
                request, timeout=timeout, connect_timeout=connect_timeout
            )
        except TransportError:
            if not self._closing.is_set():
                raise
        else:
            try:
                return read_utility_reply(
                    status_code=response.status_code,
                    headers=response.headers,
                    body=response.body,
                    received_at=time.time(),
                )
            except InvalidRequest as error:
                name_endpoint(error, name)
                raise
        raise ClientClosed("the client was closed before an answer came; nothing was started")

    def _build_question(self, name: str, params: Mapping[str, Any]) -> Request:
        endpoint = self._endpoint(name)
        if endpoint.resolved_by is not None:
            raise ValueError(f"{name} starts work; use client.submit({name!r}, ...)")
        self._check_params(endpoint, params)
        # If JSON cannot represent the parameters, this raises the same error as a submit.
        hash_payload(endpoint, params)
        return build_request(endpoint, params, self._sender)

    def shares_upload_key(self, submit_request: SubmitRequest) -> bool:
        """Whether a request and the uploads of its files use the same API key."""
        return self.key_tier(submit_request) == self.tier_of(UPLOAD_ENDPOINT)

    def tiers_of(self, submission: Submission) -> set[Tier]:
        """
        Return the kinds of API key that a submission and the uploads of its files need.

        Raises:
            ValueError: The endpoint is unknown, or the client lacks one of the keys.
        """
        names = [submission.endpoint]
        if any(files_in(submission.parameters)):
            names.append(UPLOAD_ENDPOINT)
        return {self.tier_of(name) for name in names}

    def tier_of(self, name: str) -> Tier:
        """
        Return the kind of API key for requests to an endpoint: "standard" or "enterprise".

        Raises:
            ValueError: The endpoint is unknown, or the client has no API key for it.
        """
        return self._sender.credentials.key_tier(self._endpoint(name).tier)

    def key_tier(self, submit_request: SubmitRequest) -> Tier:
        """Return the kind of API key for a request: "standard" or "enterprise"."""
        return self._sender.credentials.key_tier(submit_request.endpoint.tier)

    def close(self) -> None:
        """Refuse requests from now on, and end all pauses between retries."""
        self._closing.set()

    def check_open(self) -> None:
        """Raise `ClientClosed` if the client was closed."""
        if self._closing.is_set():
            raise ClientClosed(CLOSED_MESSAGE)

    async def sleep_while_open(self, seconds: float) -> None:
        """Sleep for some seconds. If the client is closed, stop at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _check_file(self, endpoint: Endpoint, parameter: str, file: object) -> None:
        if not endpoint.takes_file(parameter):
            raise ValueError(
                f"{endpoint.name} takes no file for {parameter!r}, got a {type(file).__name__}; "
                "only parameters that take a link to an image, a video or a sound take files; a "
                "text is a str"
            )
        try:
            self.tier_of(UPLOAD_ENDPOINT)
        except ValueError as error:
            raise ValueError(
                f"the file for {parameter!r} would be uploaded to {UPLOAD_ENDPOINT} first, which "
                f"is not possible: {error}; or give a link instead of the file"
            ) from None

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            hint = did_you_mean(name, self._endpoints) or "no endpoint has a similar name;"
            message = (
                f"unknown endpoint {name!r}; {hint} "
                "`modelslab-async endpoints` lists all, and Client(endpoints=...) takes more"
            )
            # Redact the message: a caller may have passed the API key as the name of the endpoint.
            raise ValueError(self._sender.credentials.redact_argument(message))
        if endpoint.resolved_by is not None and endpoint.resolved_by not in self._families:
            raise ValueError(
                f"endpoint {name!r} makes tickets of family {endpoint.resolved_by!r}, which this "
                "client does not know; add it with Client(families=...)"
            )
        return endpoint


def _check_track_id(track_id: object) -> None:
    if isinstance(track_id, bool) or not isinstance(track_id, str | int | None):
        raise ValueError(  # noqa: TRY004 -- every wrong parameter of a submit is a ValueError.
            "the track_id is a text or a whole number, got a value of type "
            f"{type(track_id).__name__}; give str(...) of it, or leave it out for a random one"
        )
    text = str(track_id)
    if not is_storable(text) or len(text.encode()) > _MAX_TRACK_ID_BYTES:
        raise ValueError(
            f"the track_id is a text of at most {_MAX_TRACK_ID_BYTES:,} bytes without NUL and "
            f"without half of a surrogate pair, because a journal stores it, got "
            f"{reprlib.repr(text)}; shorten it, or leave these characters out"
        )
