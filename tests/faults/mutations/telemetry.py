"""Breaks of events, spans, the log of requests and the replies of webhooks."""

from .mutation import Mutation

_WEBHOOK_REPLIES = "../submitting/test_webhook_replies.py"
_OTEL = "../otel/test_otel.py"
_REQUEST_LOG = "../transport/test_exchange_timer.py"

MUTATIONS = [
    Mutation(
        "event of a poll: without the context of its caller",
        "_polling/watchers.py",
        "return next(iter(callers_of(watchers)), None)",
        "return None",
        "../polling/test_events.py",
        "context",
    ),
    Mutation(
        "event of a submit: a listener changes the context of its caller",
        "_aio/listeners.py",
        "copy_context() if context is None else context.copy()",
        "copy_context() if context is None else context",
        "../polling/test_events.py",
        "change",
    ),
    Mutation(
        "event of a submit: a refusal goes by in silence",
        "_submitting/submit_notifier.py",
        "        finally:\n            self.ended(result)",
        "        finally:\n            pass",
        "../submitting/test_submit_notifier.py",
    ),
    Mutation(
        "event of a download: bytes are not counted",
        "_downloads/transfer.py",
        "notifier.received += part.size - size_before",
        "pass",
        "../downloads/test_download_notifier.py",
    ),
    Mutation(
        "span of a poll: no link to the callers",
        "otel.py",
        "if found.is_valid],",
        "if not found.is_valid],",
        _OTEL,
        "link",
    ),
    Mutation(
        "span of a poll: the trace of no caller",
        "otel.py",
        "parents[0] if parents else None,",
        "None,",
        _OTEL,
        "trace",
    ),
    Mutation(
        "log of requests: the query is shown",
        "_transport/exchange_timer.py",
        "path = urlsplit(self._url).path",
        "path = self._url",
        _REQUEST_LOG,
    ),
    Mutation(
        "log of requests: a key in the path is shown",
        "_transport/exchange_timer.py",
        "path if self._credentials is None else self._credentials.redact_text(path)",
        "path",
        _REQUEST_LOG,
    ),
    Mutation(
        "webhook reply: the address of another family is taken",
        "_submitting/webhook_addresses.py",
        '(f" {family}" if family else "")',
        '""',
        _WEBHOOK_REPLIES,
    ),
    Mutation(
        "webhook reply: a flood of deliveries is a flood of polls",
        "_engine/webhook_fetches.py",
        "-math.inf) + floor - now())",
        "-math.inf) - now())",
        _WEBHOOK_REPLIES,
    ),
    Mutation(
        "webhook reply: a cancelled delivery cancels the poll of another one",
        "_engine/webhook_fetches.py",
        "if not fetch.deliveries:",
        "if True:",
        "../submitting/test_shared_webhook_fetches.py",
    ),
    Mutation(
        "webhook reply: any number of tickets at once",
        "_engine/webhook_fetches.py",
        "if len(self._in_progress) >= _MAX_IN_PROGRESS:",
        "if False:",
        _WEBHOOK_REPLIES,
    ),
]
