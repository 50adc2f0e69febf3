"""Renders the numbers of a batch as one HTML file without scripts or external resources."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from .. import output
from .journal_data import ReportData
from .svg_plots import bars, histogram, timeline

_MAX_REASONS: Final = 12
_THOUSAND: Final = 1000
_CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #687385; --line: #d9dee6;
  --paper: #ffffff; --card: #f6f8fa; --blue: #3b6fb6; --green: #23855a; --red: #bf3b2f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --faint: #97a3b4; --line: #353e4b;
  --paper: #14181f; --card: #1c222b; --blue: #76a5e8; --green: #5cc493; --red: #ee8277; } }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 76rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 0 0 .25rem; font-size: 1.05rem; }
p { margin: .25rem 0; color: var(--faint); overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.5rem 0; }
dl div, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
dl div { padding: .5rem 1rem; } dt { color: var(--faint); font-size: .85rem; }
dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
  gap: 1rem; } section { padding: 1rem; }
svg { display: block; width: 100%; height: auto; margin-top: .5rem; }
text { fill: var(--faint); font-size: 12px; } .grid { stroke: var(--line); }
.bar { fill: var(--blue); } .tail { fill: var(--faint); } .bad { fill: var(--red); }
polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
polyline.good { stroke: var(--green); } polyline.wrong { stroke: var(--red); }
polyline.kept { stroke: var(--blue); stroke-dasharray: 6 4; }
tspan.good { fill: var(--green); } tspan.wrong { fill: var(--red); }
tspan.kept { fill: var(--blue); }
"""


def render_page(data: ReportData, name: str) -> str:
    """
    Return the HTML of the page.

    Args:
        data: The numbers of the batch.
        name: The name of the journal, for the title.
    """
    began = datetime.fromtimestamp(data.began, UTC).strftime("%Y-%m-%d %H:%M UTC")
    when = f"The first ticket was added on {began}." if data.began else "Nothing has ended yet."
    return "\n".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">',
            f"<title>{_escape(name)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{_escape(name)}</h1><p>{when}</p>",
            f"<dl>{''.join(_counts(data))}</dl><main>",
            *_sections(data),
            "</main></body></html>",
        )
    )


def _counts(data: ReportData) -> Iterator[str]:
    report = data.report
    counts = {
        "tickets": report.tickets,
        "succeeded": report.success,
        "failed": report.failed,
        "given up": report.unresolved,
        "open": report.open,
        "polls": report.polls,
        "files": report.files,
        "not saved": report.unsaved,
    }
    for name, count in counts.items():
        yield f"<div><dt>{name}</dt><dd>{count:,}</dd></div>"
    if data.size:
        yield f"<div><dt>saved</dt><dd>{_format_bytes(data.size)}</dd></div>"


def _sections(data: ReportData) -> Iterator[str]:
    series = [("succeeded", "good", data.succeeded), ("failed", "wrong", data.failed)]
    if data.saved:
        series.append(("all files saved", "kept", data.saved))
    if data.succeeded or data.failed:
        yield _section(
            "Over time", "The number of tickets with an outcome, up to each time.", timeline(series)
        )
    yield from _distribution_section(
        "From adding to outcome",
        "The time from adding a ticket to its outcome. It includes pauses between runs.",
        data.outcome_times,
        "seconds",
    )
    yield from _distribution_section(
        "Longest possible delay",
        "The time from the last poll that saw a job running to the poll that saw its end. The job "
        "ended between the two, on average in the middle.",
        data.late,
        "seconds",
    )
    yield from _distribution_section(
        "Generation time",
        "How long the server worked, if it said so.",
        data.generation_times,
        "seconds",
    )
    yield from _distribution_section(
        "Polls", "The number of polls for each ticket.", data.polls, ""
    )
    yield from _distribution_section(
        "From outcome to files",
        "The time from a ticket's outcome to its last saved file.",
        data.save_times,
        "seconds",
    )
    if data.reasons:
        rows = [
            (output.sanitize(reason), count)
            for reason, count in data.reasons.most_common(_MAX_REASONS)
        ]
        more = len(data.reasons) - len(rows)
        rest = f" {more:,} more reasons are not shown." if more else ""
        description = f"Why tickets failed, were given up, or could not be saved.{rest}"
        yield _section("What went wrong", description, bars(rows))


def _distribution_section(
    title: str, description: str, values: Sequence[float], unit: str
) -> Iterator[str]:
    if not values:
        return
    ordered = sorted(values)
    median, maximum = ordered[len(ordered) // 2], ordered[-1]
    late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    summary = f"Median {median:,.3g}, 95 % within {late:,.3g}, most {maximum:,.3g} {unit}".rstrip()
    yield _section(title, description, f"<p>{summary}.</p>{histogram(values, unit)}")


def _section(title: str, description: str, plot: str) -> str:
    return f"<section><h2>{title}</h2><p>{description}</p>{plot}</section>"


def _escape(text: str) -> str:
    return escape(output.sanitize(text))


def _format_bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < _THOUSAND:
            return f"{size:,.3g} {unit}"
        size /= _THOUSAND
    return f"{size:,.3g} TB"
