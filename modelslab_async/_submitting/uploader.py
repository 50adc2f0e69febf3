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
from .._parsing.json_body import first_text, results
from .file_parameters import Upload, with_links
from .submit_request import Order

UPLOAD = "general/base64_to_url"


class Uploader:
    """
    Sends the files of orders.

    Args:
        ask: Sends the parameters of `UPLOAD` there, and gives the body that came.
    """

    def __init__(self, ask: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        self._ask = ask

    async def linked(self, order: Order, links: dict[str, str]) -> Order:
        """
        The order with a link in the place of each file.

        Args:
            order: What is to be started.
            links: The links that its files have by now, to which new ones are added: should this
                be tried again, no file is sent twice.

        Raises:
            UnusableFile: A file cannot be read any more, or has changed.
            ClientClosed: The client was closed.
            ModelsLabError: A file was not taken. It says so, and its `__cause__` what came.
        """

        async def link(upload: Upload) -> str:
            if upload.digest not in links:
                links[upload.digest] = await self._sent(upload)
            return links[upload.digest]

        return evolve(order, params=await with_links(order.params, link))

    async def _sent(self, upload: Upload) -> str:
        data_url = await upload.data_url()
        try:
            return _link_in(await self._ask({"base64_string": data_url}))
        except ClientClosed:
            raise
        except ModelsLabError as error:
            fault = error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            fault = TransportError("the exchange was cancelled from within")
        except Exception as error:  # noqa: BLE001 -- whatever a transport raises.
            # Only its name: what is not ours may hold the key.
            fault = TransportError(f"the transport broke: {type(error).__name__}")
        raise _of_upload(upload, fault) from fault


def _link_in(body: dict[str, Any]) -> str:
    links = results(body) or tuple(filter(None, (first_text(body, "link", "url"),)))
    if not links:
        raise UnreadableReply("the service took the file and gave no link to it")
    return links[0]


def _of_upload(upload: Upload, fault: ModelsLabError) -> ModelsLabError:
    """The same error, which says that it was the upload, and that nothing was started."""
    error = copy(fault)
    error.message = f"the file for {upload.name} could not be sent: {fault.message}"
    error.message = f"{error.message.rstrip('.')}; nothing was started"
    error.args = (error.message,)
    if isinstance(error, (TransportError, ConnectionImpossible)):
        error.may_have_left = False
    return error


def as_it_came(error: ModelsLabError) -> ModelsLabError:
    """An error for those whose file it was not: without what was said of an upload."""
    cause = error.__cause__
    return cause if isinstance(cause, type(error)) else error
