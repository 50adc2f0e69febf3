"""Renders replies and outcomes as HTML for notebooks, and escapes the server's text."""

from collections.abc import Iterable
from html import escape
from urllib.parse import urlsplit

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif")
_MAX_TEXT_CHARS = 500
_MAX_OUTPUTS = 50
_NSFW_TEXT = "the service flagged this result as not safe for work, so it is not shown"
_PICTURE_STYLE = "max-width: 20em; max-height: 20em; margin: 0.2em"


def html_of(title: object, state: str, *texts: str, outputs: Iterable[str] = ()) -> str:
    """
    Return a block of HTML for one reply or outcome.

    Args:
        title: What the block is about, such as a ticket.
        state: The state of the reply or outcome, such as `success`.
        texts: More strings to show; empty ones are left out.
        outputs: The results: links to pictures, other links, or text.
    """
    details = " &middot; ".join(_short(text) for text in (state, *texts) if text)
    shown = [*outputs]
    parts = [_output(output) for output in shown[:_MAX_OUTPUTS]]
    if len(shown) > _MAX_OUTPUTS:
        parts.append(f"<div>and {len(shown) - _MAX_OUTPUTS} more</div>")
    return f"<div><b>{_short(str(title))}</b> {details}</div>{''.join(parts)}"


def success_html(title: object, outputs: Iterable[str], message: str, *, is_nsfw: bool) -> str:
    """Return the HTML for a success. If the service flagged it as unsafe, show no outputs."""
    if is_nsfw:
        return html_of(title, "success", message, _NSFW_TEXT)
    return html_of(title, "success", message, outputs=outputs)


def _output(output: str) -> str:
    path = _https_path(output)
    if path is None:
        return f"<div>{_short(output)}</div>"
    link = escape(output)
    if path.lower().endswith(_PICTURE_SUFFIXES):
        shown = f'<img src="{link}" style="{_PICTURE_STYLE}" referrerpolicy="no-referrer">'
    else:
        shown = f"<div>{_short(output)}</div>"
    return f'<a href="{link}" target="_blank" rel="noopener noreferrer">{shown}</a>'


def _https_path(output: str) -> str | None:
    """Return the path of the URL if the output is an https link; None for any other output."""
    try:
        parts = urlsplit(output)
        is_link = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        return None
    # An output with spaces or control characters is not shown as a link, because browsers drop
    # these characters and open another address.
    return parts.path if is_link and output.isprintable() and " " not in output else None


def _short(text: str) -> str:
    if len(text) <= _MAX_TEXT_CHARS:
        return escape(text)
    return f"{escape(text[:_MAX_TEXT_CHARS])}... ({len(text)} characters)"
