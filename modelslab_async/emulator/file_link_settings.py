"""FileLinks: the delay, expiry and redirects of the emulator's links to files."""

import math
from urllib.parse import parse_qs

from attrs import field, frozen
from attrs.validators import ge, optional
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from modelslab_async._models.short_repr import short_repr

from . import shared_replies
from .media.files import MediaFile
from .range_requests import file_response
from .request_fields import read_count

_EXPIRES_PARAM = "expires"
_REDIRECT_COUNT_PARAM = "redirects"


@frozen(kw_only=True)
class FileLinks:
    """
    How the emulator's links to files behave.

    Args:
        delay: The seconds from the end of a job until its files appear. Until then, a request for a
            file gets a 404.
        lifetime: The seconds for which a link is valid after the reply that contains it. A request
            for an expired link gets a 403. Each reply contains new links. With None, links never
            expire.
        redirects: How many redirects a client must follow to reach a file.
        html_page: Whether each link leads to an HTML page with status 200 in place of the file.
        ranges: Whether range requests are honoured.
        etags: Whether files have ETags.

    Raises:
        ValueError: An argument is out of its range.
    """

    delay: float = field(default=0.0, validator=ge(0))
    lifetime: float | None = field(default=None, validator=optional(ge(0)))
    redirects: int = field(default=0, validator=ge(0))
    html_page: bool = False
    ranges: bool = True
    etags: bool = True

    def query(self, now: float) -> str:
        """Return the query string of links. It sets their expiry, counted from `now`."""
        return "" if self.lifetime is None else f"?{_EXPIRES_PARAM}={now + self.lifetime!r}"

    def answer(self, file: MediaFile, request: Request, *, age: float, now: float) -> Response:
        """
        Answer a request for a file.

        Args:
            file: The file to send.
            request: The request to answer.
            age: The seconds since the end of the file's job.
            now: The time on the emulator's clock.
        """
        if age < self.delay:
            return not_found()
        query_params = {name: values[0] for name, values in parse_qs(request.url.query).items()}
        try:
            expires = _read_time(query_params.get(_EXPIRES_PARAM, "0"))
            followed = _read_redirects(query_params.get(_REDIRECT_COUNT_PARAM, "0"))
        except ValueError as error:
            return _text_response(400, str(error))
        if self.lifetime is not None and not now < expires:
            return _text_response(403, "Request has expired")
        if followed < self.redirects:
            next_url = str(
                request.url.include_query_params(**{_REDIRECT_COUNT_PARAM: followed + 1})
            )
            return Response(b"", 302, {"location": next_url})
        if self.html_page:
            page = shared_replies.html_page("Just a moment...")
            return Response(page, 200, {"content-type": "text/html"})
        return self._file_response(file, request)

    def _file_response(self, file: MediaFile, request: Request) -> Response:
        headers = request.headers
        if not self.ranges:
            other_headers = [(name, value) for name, value in headers.raw if name != b"range"]
            headers = Headers(raw=other_headers)
        response = file_response(file, headers, method=request.method)
        if not self.etags:
            del MutableHeaders(raw=response.raw_headers)["etag"]
        return response


def not_found() -> Response:
    """Return the 404 reply to a request for a file that does not exist."""
    return _text_response(404, "Not Found")


def _text_response(status_code: int, text: str) -> Response:
    return Response(text.encode(), status_code, {"content-type": "text/plain"})


def _read_time(text: str) -> float:
    try:
        time = float(text)
    except ValueError:
        time = math.nan
    if math.isnan(time):
        raise ValueError(f"{_EXPIRES_PARAM} is a time in seconds, got {short_repr(text)}")
    return time


def _read_redirects(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(
            f"{_REDIRECT_COUNT_PARAM} is a whole number of at least 0, got {short_repr(text)}"
        )
    return read_count(text)
