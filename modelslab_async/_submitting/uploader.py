"""Uploader: the files of an order become links, each sent once. It knows no places, no retries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any

from attrs import evolve

from .._aio.cooperation import is_cancelled
from .._models.errors import (
    ClientClosed,
    ConnectionImpossible,
    ModelsLabError,
    TransportError,
    UnreadableReply,
)
from .._parsing.json_body import find_results, first_text
from .file_parameters import Upload, with_links
from .submit_request import SubmitRequest

UPLOAD_ENDPOINT = "general/base64_to_url"


class Uploader:
    """
    Sends the files of orders.

    Args:
        ask: Sends the parameters of `UPLOAD` there, and gives the body that came.
    """

    def __init__(self, ask: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        self._ask = ask

    async def upload_files(
        self, submit_request: SubmitRequest, links: dict[str, str]
    ) -> SubmitRequest:
        """
        The order with a link in the place of each file.

        Args:
            submit_request: What is to be started.
            links: The links that its files have by now, to which new ones are added: should this
                be tried again, no file is sent twice.

        Raises:
            UnusableFile: A file cannot be read any more, or has changed.
            ClientClosed: The client was closed.
            ModelsLabError: A file was not taken. It says so, and its `__cause__` what came.
        """

        async def get_link(upload: Upload) -> str:
            if upload.digest not in links:
                links[upload.digest] = await self._upload_file(upload)
            return links[upload.digest]

        return evolve(submit_request, params=await with_links(submit_request.params, get_link))

    async def _upload_file(self, upload: Upload) -> str:
        data_url = await upload.data_url()
        try:
            return _link_in(await self._ask({"base64_string": data_url}))
        except ClientClosed:
            raise
        except ModelsLabError as error:
            failure = error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            failure = TransportError("the exchange was cancelled from within")
        except Exception as error:  # noqa: BLE001 -- whatever a transport raises.
            # Only its name: what is not ours may hold the key.
            failure = TransportError(f"the transport broke: {type(error).__name__}")
        raise _as_upload_error(upload, failure) from failure


def _link_in(body: dict[str, Any]) -> str:
    links = find_results(body) or tuple(filter(None, (first_text(body, "link", "url"),)))
    if not links:
        raise UnreadableReply("the service took the file and gave no link to it")
    return links[0]


def _as_upload_error(upload: Upload, failure: ModelsLabError) -> ModelsLabError:
    """The same error, which says that it was the upload, and that nothing was started."""
    error = copy(failure)
    error.message = f"the file for {upload.parameter} could not be sent: {failure.message}"
    error.message = f"{error.message.rstrip('.')}; nothing was started"
    error.args = (error.message,)
    if isinstance(error, (TransportError, ConnectionImpossible)):
        error.may_have_been_sent = False
    return error


def original_error(error: ModelsLabError) -> ModelsLabError:
    """An error for those whose file it was not: without what was said of an upload."""
    cause = error.__cause__
    return cause if isinstance(cause, type(error)) else error
