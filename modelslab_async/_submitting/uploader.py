"""Uploader: uploads the files of a request and replaces them with links. It never retries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any, TypeAlias

from attrs import evolve

from .._models.errors import (
    ClientClosed,
    ConnectionImpossible,
    ModelsLabError,
    TransportError,
    UnreadableReply,
)
from .._parsing.json_body import find_results, first_text
from .exchange_error_translation import exchange_failure
from .file_reading import Upload, with_links
from .submit_request import SubmitRequest

UPLOAD_ENDPOINT = "general/base64_to_url"

BeginRequest: TypeAlias = Callable[[], float | None]
"""Called before a request. It returns the maximum number of seconds to get a connection."""

OnUploaded: TypeAlias = Callable[[Upload, int, float], object]
"""Called with an uploaded file, its number of bytes, and the seconds that the upload took."""


class Uploader:
    """
    Uploads the files among the parameters of requests.

    Args:
        ask: A function that sends parameters to `UPLOAD_ENDPOINT` and returns the body of the
            reply. Its second argument is the maximum number of seconds to connect.
        read_file: Returns a file as a data URL. Its errors do not contain the API key.
    """

    def __init__(
        self,
        ask: Callable[[Mapping[str, Any], float | None], Awaitable[dict[str, Any]]],
        read_file: Callable[[Upload], Awaitable[str]],
    ) -> None:
        self._ask = ask
        self._read_file = read_file

    async def upload_files(
        self,
        submit_request: SubmitRequest,
        links: dict[str, str],
        *,
        begin_request: BeginRequest,
        on_uploaded: OnUploaded,
    ) -> SubmitRequest:
        """
        Upload the files of a request. Return the request with a link in place of each file.

        Args:
            submit_request: The request that contains the files.
            links: Maps the digest of each uploaded file to the link. New uploads are added, so that
                a retry of the request uploads no file twice.
            begin_request: Called before each upload. It returns the maximum number of seconds to
                connect; None for the transport's limit.
            on_uploaded: Called after each upload with the file, its number of bytes, and the
                seconds that the upload took.

        Raises:
            UnusableFile: A file cannot be read any more, or has changed.
            ClientClosed: The client was closed.
            ModelsLabError: An upload failed. The `__cause__` of this error is the original error.
        """

        async def get_link(upload: Upload) -> str:
            if upload.digest not in links:
                links[upload.digest] = await self._upload_file(upload, begin_request, on_uploaded)
            return links[upload.digest]

        return evolve(submit_request, params=await with_links(submit_request.params, get_link))

    async def _upload_file(
        self, upload: Upload, begin_request: BeginRequest, on_uploaded: OnUploaded
    ) -> str:
        data_url = await self._read_file(upload)
        now = asyncio.get_running_loop().time
        connect_timeout, started = begin_request(), now()
        try:
            link = _link_in(await self._ask({"base64_string": data_url}, connect_timeout))
        except ClientClosed:
            raise
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- a transport may raise anything.
            failure = exchange_failure(error)
        else:
            on_uploaded(upload, _decoded_size(data_url), now() - started)
            return link
        raise _as_upload_error(upload, failure) from failure


def _decoded_size(data_url: str) -> int:
    digits = len(data_url) - data_url.index(",") - 1
    return digits * 3 // 4 - data_url.count("=", -2)


def _link_in(body: dict[str, Any]) -> str:
    links = find_results(body) or tuple(filter(None, (first_text(body, "link", "url"),)))
    if not links:
        raise UnreadableReply("the service took the file and returned no link to it")
    return links[0]


def _as_upload_error(upload: Upload, failure: ModelsLabError) -> ModelsLabError:
    """Copy an error. The copy's message says that the upload failed and nothing was started."""
    error = copy(failure)
    reason = failure.message.rstrip(".")
    error.message = (
        f"the file for {upload.parameter} could not be uploaded: {reason}; nothing was started"
    )
    error.args = (error.message,)
    if isinstance(error, (TransportError, ConnectionImpossible)):
        error.may_have_been_sent = False
    return error


def original_error(error: ModelsLabError) -> ModelsLabError:
    """Return the error that `_as_upload_error` copied. Return any other error unchanged."""
    cause = error.__cause__
    return cause if isinstance(cause, type(error)) else error
