"""Links: how the links to files behave, from the moment that a reply names them."""

from urllib.parse import parse_qs

from attrs import field, frozen
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from .media.files import MediaFile
from .range_requests import file_response

_HTML_PAGE = b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head></html>\n"
_EXPIRES, _HOPS = "expires", "hops"


def _check_seconds(_instance: object, attribute: object, value: float | None) -> None:
    if value is not None and value < 0:
        name = getattr(attribute, "name", "")
        raise ValueError(f"{name} is a number of seconds of at least 0, got {value!r}")


@frozen(kw_only=True)
class FileLinks:
    """
    How links behave.

    Args:
        late: How many seconds after the end of its job a file appears; 404 until then.
        lifetime: How many seconds a link is good for, from the reply that named it; 403 after that.
            Each further reply names a new one. None: for good.
        redirects: How many redirects stand before each file.
        page: Whether an HTML page comes in place of each file, with the status 200.
        ranges: Whether ranges are honoured.
        etags: Whether files have tags.

    Raises:
        ValueError: An argument is out of its range.
    """

    delay: float = field(default=0.0, validator=_check_seconds)
    lifetime: float | None = field(default=None, validator=_check_seconds)
    redirects: int = field(default=0, validator=_check_seconds)
    html_page: bool = False
    ranges: bool = True
    etags: bool = True

    def query(self, now: float) -> str:
        """What a link that is named now has behind its path."""
        return "" if self.lifetime is None else f"?{_EXPIRES}={now + self.lifetime!r}"

    def answer(self, file: MediaFile, request: Request, *, age: float, now: float) -> Response:
        """
        Answer a request for a file.

        Args:
            file: The file.
            request: The request.
            age: Seconds since the end of its job.
            now: The time.
        """
        query_params = {name: values[0] for name, values in parse_qs(request.url.query).items()}
        if age < self.delay:
            return not_found()
        if self.lifetime is not None and not now < float(query_params.get(_EXPIRES, "0")):
            return Response(b"Request has expired", 403, {"content-type": "text/plain"})
        hops = int(query_params.get(_HOPS, "0"))
        if hops < self.redirects:
            next_url = str(request.url.include_query_params(**{_HOPS: hops + 1}))
            return Response(b"", 302, {"location": next_url})
        if self.html_page:
            return Response(_HTML_PAGE, 200, {"content-type": "text/html"})
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
    """What stands behind a link that leads nowhere."""
    return Response(b"Not Found", 404, {"content-type": "text/plain"})
