"""Recognises HTML, JSON and XML errors that a server sent in place of a file."""

import codecs
import json
import re
from typing import Any

# Text that starts with one of these HTML elements is a web page. Elements that plain text may start
# with are left out.
# https://html.spec.whatwg.org/multipage/indices.html#elements-3
_HTML_ELEMENTS = (
    "html head title base link meta style script noscript template body article section nav aside "
    "h1 h2 h3 h4 h5 h6 hgroup header footer address main p hr pre blockquote ol ul menu li dl dt "
    "dd figure figcaption div a em strong small cite abbr samp kbd i b u mark span br wbr picture "
    "img iframe embed object table caption tbody thead tr td th form label input button select "
    "fieldset legend details summary dialog canvas center font big tt frameset frame noframes "
    "marquee basefont"
)
_PREAMBLE = rb"\s*+(?:<!--.*?-->\s*+|<\?.*?\?>\s*+)*+"
_HTML = re.compile(
    _PREAMBLE
    + rb"<(?:!doctype\s+html|(?:"
    + _HTML_ELEMENTS.replace(" ", "|").encode()
    + rb")(?=[\s/>]|$))",
    re.IGNORECASE | re.DOTALL,
)
# XML counts as an error unless it starts with an SVG element, because no family makes other XML.
_XML = re.compile(_PREAMBLE + rb"(?:<!doctype\b[^>]*>\s*+)?+<(?!svg\b)", re.IGNORECASE | re.DOTALL)
_STORAGE_ERROR = re.compile(_PREAMBLE + rb"<error\b", re.IGNORECASE | re.DOTALL)
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_FAILED_STATUSES = ("error", "failed", "failure", "fail")
_MESSAGE_FIELDS = ("error", "errors", "message", "messege", "detail", "details", "msg", "reason")
_OTHER_FIELDS = (
    *("status", "statuscode", "status_code", "code", "success", "ok", "type", "title", "tip"),
    *("timestamp", "path", "instance", "requestid", "request_id", "traceid", "trace_id", "id"),
)


def is_web_page(head: bytes) -> bool:
    """Whether these first bytes belong to an HTML page or an XML error, in any Unicode encoding."""
    text = _to_utf8(head)
    if _HTML.match(text) or _STORAGE_ERROR.match(text):
        return True
    return text.lstrip().startswith(b"<?xml") and _XML.match(text) is not None


def is_html_type(content_type: str) -> bool:
    """Whether a `Content-Type` header means HTML."""
    return content_type.partition(";")[0].strip().lower() in _HTML_TYPES


def is_json_error(text: bytes) -> bool:
    """Whether text is a JSON object with a failed status, or with only the fields of an error."""
    if text.lstrip()[:1] != b"{":
        return False
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    fields = {str(name).lower(): value for name, value in body.items()}
    if str(fields.get("status")).lower() in _FAILED_STATUSES:
        return True
    return any(fields.get(name) for name in _MESSAGE_FIELDS) and fields.keys() <= {
        *_MESSAGE_FIELDS,
        *_OTHER_FIELDS,
    }


def _to_utf8(head: bytes) -> bytes:
    """Convert text to UTF-8 if its byte order mark or its first `<` shows another encoding."""
    for prefix, encoding in _ENCODING_PREFIXES:
        if head.startswith(prefix):
            return head.decode(encoding, "ignore").removeprefix("\ufeff").encode()
    return head


_ENCODING_PREFIXES = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 is checked before UTF-16, because the little-endian mark of UTF-32 starts with that of
    # UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
