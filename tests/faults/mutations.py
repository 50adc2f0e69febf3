"""
Whether the tests of faults see a fault: the package is broken in one place, and they must fail.

    python tests/faults/mutations.py                 # all of them, some minutes
    python tests/faults/mutations.py "a body"        # those whose row says that

Each row of docs/explanation/faults.md has at least one, and so has what a submit must never do: be
sent again after a doubt. A mutation whose tests pass is said to have
survived, and then a test is missing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = "modelslab_async"
EACH = "test_every_fault.py"
STORIES = "test_simulate.py"
WALL = "test_wall_clock.py"


class Mutation(NamedTuple):
    """One place to break, and the tests that must see it."""

    row: str
    module: str
    right: str
    wrong: str
    tests: str
    which: str = ""


SURVIVES = "survives and "
SUBMITS = "../submitting/test_simulation.py"
FILES = "../submitting/test_uploads.py"
CLOSING = "../submitting/test_closing.py"
MUTATIONS = [
    Mutation(
        "the port is closed, a connection is reset",
        "_scheduling/failure_reactions.py",
        "if entry.failures < limits.max_failures:",
        "if False:",
        EACH,
        SURVIVES + "(h11-refuse_connection or h11-reset_after)",
    ),
    Mutation(
        "no answer comes",
        "_transport/sender.py",
        "Deadlines(seconds)",
        "Deadlines(60.0)",
        "test_bytes.py",
        "deadline and hang",
    ),
    Mutation(
        "an answer ends within its body",
        "_transport/http11/h11_codec.py",
        "raise UnreadableError(NOT_HTTP if data else CONNECTION_CLOSED) from None",
        "return self._take_response()",
        "../transport/test_connections.py",
        "incomplete_response",
    ),
    Mutation(
        "TLS comes to nothing",
        "_scheduling/failure_reactions.py",
        "case ConnectionImpossible():",
        "case ZeroDivisionError():",
        "../transport/test_sending.py",
        "certificate_is_permanent_for_all",
    ),
    Mutation(
        "TLS comes to nothing in the handshake",
        "_transport/tls_errors.py",
        "if fault is None or isinstance(fault, _CONNECTION_BROKEN):",
        "if not isinstance(fault, ssl.SSLCertVerificationError):",
        "../transport/test_contract.py",
        "failed_handshake and cipher or without_tls",
    ),
    Mutation(
        "TLS comes to nothing after the handshake",
        "_transport/http11/connection.py",
        "final = permanent_tls_error(exc, in_handshake=False, may_have_been_sent=True)",
        "final = None",
        "../transport/test_contract.py",
        "failed_handshake and 1.3 and h11",
    ),
    Mutation(
        "TLS comes to nothing after the handshake, over httpx",
        "_transport/sender.py",
        "error = tls_error or TransportError(message)",
        "error = TransportError(message)",
        "../transport/test_contract.py",
        "failed_handshake and 1.3 and httpx",
    ),
    Mutation(
        "a connection is closed within the handshake",
        "_transport/tls_errors.py",
        "if fault is None or isinstance(fault, _CONNECTION_BROKEN):",
        "if fault is None:",
        "../transport/test_contract.py",
        "handshake_that_is_cut",
    ),
    Mutation(
        "a proxy that cannot be used",
        "_transport/environment_proxy.py",
        "except ImportError:",
        "except ZeroDivisionError:",
        "../transport/test_connections.py",
        "unusable_proxy and socks",
    ),
    Mutation(
        "a proxy that cannot be used: its port",
        "_transport/environment_proxy.py",
        "except (httpx.InvalidURL, ValueError):",
        "except ZeroDivisionError:",
        "../transport/test_connections.py",
        "unusable_proxy and notaport",
    ),
    Mutation(
        "all connections are in use",
        "_transport/http11/origin_pool.py",
        "            if not may_have_left:",
        "            if False:",
        "../transport/test_contract.py",
        "never_left and submit and h11",
    ),
    Mutation(
        "all connections are in use: it may have left",
        "_transport/http11/origin_pool.py",
        "            if not may_have_left:",
        "            if True:",
        "../transport/test_contract.py",
        "was_read and h11",
    ),
    Mutation(
        "all connections are in use, over httpx",
        "_transport/httpx_adapter.py",
        "        if body.withdraw():\n            mark_unsent(cancelled)",
        "        if False:\n            mark_unsent(cancelled)",
        "../transport/test_contract.py",
        "never_left and submit and httpx",
    ),
    Mutation(
        "all connections are in use, over httpx: it may have left",
        "_transport/httpx_adapter.py",
        "        if body.withdraw():\n            mark_unsent(cancelled)",
        "        if True:\n            mark_unsent(cancelled)",
        "../transport/test_contract.py",
        "was_read and httpx",
    ),
    Mutation(
        "a kept connection is closed while idle",
        "_transport/http11/connection.py",
        "return not (self._transport.is_closing() or self._has_unread_data())",
        "return True",
        "../transport/test_connections.py",
        "noticed_by_a_blocked_loop",
    ),
    Mutation(
        "a second answer at once",
        "_transport/http11/h11_codec.py",
        "or self._h11.trailing_data[0]",
        "or False",
        EACH,
        SURVIVES + "h11-extra_reply",
    ),
    Mutation(
        "a second answer at once, over httpx",
        "_transport/httpx_adapter.py",
        '("connection", "close")',
        '("x-connection", "close")',
        EACH,
        SURVIVES + "httpx-extra_reply",
    ),
    Mutation(
        "a second answer later",
        "_transport/http11/connection.py",
        "            self.abort()\n            return\n        if not self._unread",
        "            self.early = data\n            return\n"
        "        data = getattr(self, 'early', b'') + data\n        if not self._unread",
        EACH,
        SURVIVES + "h11-late_extra_reply",
    ),
    Mutation(
        "an answer is not HTTP",
        "_transport/http11/h11_codec.py",
        "except h11.RemoteProtocolError:",
        "except ZeroDivisionError:",
        EACH,
        SURVIVES + "(h11-not_http or h11-bad_content_length or h11-bad_chunk_size)",
    ),
    Mutation(
        "a server is away: few looks",
        "_scheduling/host_health.py",
        "_FAILURES_BEFORE_PAUSE = 10",
        "_FAILURES_BEFORE_PAUSE = 10**9",
        "test_outage.py",
        "few_polls and refuses",
    ),
    Mutation(
        "a server is back: no burst",
        "_scheduling/host_queue.py",
        "        if self.health.record_answer():",
        "        if self.health.record_answer() and False:",
        "test_outage.py",
        "no_burst and refuses",
    ),
    Mutation(
        "twenty server errors in a row",
        "_scheduling/failure_reactions.py",
        "if entry.failures < limits.max_failures:",
        "if entry.failures < 10:",
        EACH,
        "burst",
    ),
    Mutation(
        "the machine sleeps",
        "_scheduling/schedule.py",
        "if now - self._checked_at > _MIN_STALL_S:",
        "if False:",
        "test_outage.py",
        "suspended and burst",
    ),
    Mutation(
        "a number of 10,000 digits, half an object",
        "_parsing/json_body.py",
        "    except ValueError:\n        raise UnreadableBodyError",
        "    except ZeroDivisionError:\n        raise UnreadableBodyError",
        EACH,
        SURVIVES + "(h11-huge_number or h11-half_json)",
    ),
    Mutation(
        "a million brackets",
        "_parsing/json_body.py",
        "except RecursionError:",
        "except ZeroDivisionError:",
        "../parsing/test_hostile_bytes.py",
        "deeper",
    ),
    Mutation(
        "a list, null",
        "_parsing/json_body.py",
        "if not isinstance(value, dict):",
        "if False:",
        EACH,
        SURVIVES + "(h11-json_list or h11-json_null)",
    ),
    Mutation(
        "JSON without a status",
        "_parsing/reply.py",
        "return UnreadableReply if has_no_status else None",
        "return None",
        EACH,
        SURVIVES + "h11-no_status",
    ),
    Mutation(
        "a status that nobody has seen",
        "_parsing/status.py",
        'meaning = _STATUS_MEANINGS.get(word.replace(" ", "_"), Meaning.RUNNING)',
        'meaning = _STATUS_MEANINGS.get(word.replace(" ", "_"), Meaning.FAILED)',
        EACH,
        SURVIVES + "h11-nan",
    ),
    Mutation(
        "a packed reply",
        "_transport/httpx_adapter.py",
        "response.aiter_raw()",
        "response.aiter_bytes()",
        "test_bytes.py ../transport/test_sending.py",
        "compressed",
    ),
    Mutation(
        "a body that never ends",
        "_transport/base.py",
        "if length > MAX_BODY_BYTES:",
        "if False:",
        "test_bytes.py",
        "cut_off_at_the_cap and h11",
    ),
    Mutation(
        "a body that says it is too long",
        "_transport/base.py",
        "int(value[:20]) > MAX_BODY_BYTES",
        "int(value[:20]) > 10**12",
        "test_bytes.py",
        "declared_too_long",
    ),
    Mutation(
        "a body of too many values",
        "_parsing/json_body.py",
        "_MAX_SEPARATORS = 100_000",
        "_MAX_SEPARATORS = 10**9",
        "test_bytes.py",
        "below_the_cap and (numbers or lists)",
    ),
    Mutation(
        "a large body that is no object",
        "_parsing/json_body.py",
        "if not _OBJECT_START.match(body):",
        "if False:",
        "test_bytes.py",
        "below_the_cap and page",
    ),
    Mutation(
        "a large picture",
        "_transport/base.py",
        "return self._bytes.getvalue()",
        "self.__dict__['x'] = [bytes(bytearray(self._bytes.getvalue())) for _ in '12345']; "
        "return self._bytes.getvalue()",
        "test_bytes.py",
        "large_result",
    ),
    Mutation(
        "a message of megabytes",
        "_parsing/json_body.py",
        "_MAX_SEARCHED_CHARS = 500",
        "_MAX_SEARCHED_CHARS = 10**9",
        "../parsing/test_hostile_bytes.py",
        "long_message",
    ),
    Mutation(
        "a status word of megabytes",
        "_polling/status_client.py",
        "_MAX_STATUS_CHARS = 80",
        "_MAX_STATUS_CHARS = 10**9",
        "test_bytes.py",
        "status_words",
    ),
    Mutation(
        "a body in crumbs",
        "_transport/base.py",
        "if self.chunk_count > MAX_SMALL_CHUNKS + length // SMALL_CHUNK_BYTES:",
        "if False:",
        "../transport/test_cooperation.py",
        "endless_one_byte and h11",
    ),
    Mutation(
        "a body in crumbs: the turns of others",
        "_transport/http11/connection.py",
        "_SLICE_BYTES = 8 * 1024",
        "_SLICE_BYTES = 2**30",
        "../transport/test_cooperation.py",
        "in_slices and h11",
    ),
    Mutation(
        "a body in crumbs: the turns of others, over httpx",
        "_transport/httpx_adapter.py",
        "if not body.chunk_count % _CHUNKS_PER_YIELD:",
        "if False:",
        "../transport/test_cooperation.py",
        "over_httpx",
    ),
    Mutation(
        "headers that never end",
        "_transport/http11/codec.py",
        "MAX_HEAD_BYTES = 64 * 1024",
        "MAX_HEAD_BYTES = 2**40",
        "test_bytes.py",
        "headers and h11",
    ),
    Mutation(
        "interim replies that never end",
        "_transport/base.py",
        "MAX_INTERIM_RESPONSES = 100",
        "MAX_INTERIM_RESPONSES = 10**9",
        "test_bytes.py",
        "interim and h11",
    ),
    Mutation(
        "interim replies that never end, over httpx",
        "_transport/send_proof.py",
        "extensions=limit_interim(request.extensions)",
        "extensions=request.extensions",
        "test_bytes.py",
        "interim and httpx",
    ),
    Mutation(
        "the key in an error that quotes an answer",
        "_transport/redaction.py",
        "        _redact_attributes(error, credentials)",
        "        pass",
        "test_key.py",
        "malformed and header",
    ),
    Mutation(
        "the key in what an error came from",
        "_transport/redaction.py",
        "error.__cause__ = error.__context__ = None",
        "pass",
        "test_key.py",
        "callers_http_shows_no_key and True",
    ),
    Mutation(
        "the key in a local variable of a traceback",
        "_transport/redaction.py",
        "or _shows_key_in_locals(error, credentials):",
        "or False:",
        "test_key.py",
        "local_variable and exchange",
    ),
    Mutation(
        "a redirect, over httpx",
        "_transport/httpx_adapter.py",
        "follow_redirects=False",
        "follow_redirects=True",
        "test_key.py ../transport/test_sending.py",
        "redirect or (no_fault and client)",
    ),
    Mutation(
        "a redirect",
        "_parsing/reply.py",
        "raise _redirect_error(ticket, status_code, headers)",
        "pass",
        "test_every_fault.py ../parsing/test_hostile_bytes.py",
        "redirect",
    ),
    Mutation(
        "links of a reply lead to another host",
        "_polling/status_client.py",
        "return await self._sender.poll(self._families[ticket.family], ticket)",
        "call = self._families[ticket.family].build_poll(ticket)\n"
        "            place = getattr(self, 'place', None)\n"
        "            from attrs import evolve\n"
        "            call = evolve(call, url=place) if place else call\n"
        "            response = await self._sender.send(call)\n"
        "            import re\n"
        "            found = re.search(rb'fetch_result\\W+(http[^\"]+)', response.body)\n"
        "            self.place = found and found[1].decode().replace('\\\\/', '/')\n"
        "            return response",
        "test_key.py",
        "no_fault_shows",
    ),
    Mutation(
        "an id holds slashes",
        "_registry/family.py",
        'quote(part, safe="")',
        'quote(part, safe="/?")',
        "test_ids.py",
    ),
    Mutation(
        "401 and 402 end all waits of the key",
        "_scheduling/failure_reactions.py",
        "            hosts.refuse_open(host_queues, error)",
        "            pass",
        EACH,
        "ends_all and 40",
    ),
    Mutation(
        "403 ends all waits of the family",
        "_scheduling/failure_reactions.py",
        "hosts.refuse_open([host_queue], error, entry.ticket.family)",
        "pass",
        EACH,
        "ends_all and 403",
    ),
    Mutation(
        "400 and 422 end that ticket alone",
        "_scheduling/failure_reactions.py",
        "        case _:\n            host_queue.record_answer(now)",
        "        case _:\n            hosts.refuse_open([host_queue], error)",
        EACH,
        "ends_all and 4",
    ),
    Mutation(
        "404 within the grace",
        "_scheduling/reply_reactions.py",
        "if age < policy.limits.grace:",
        "if age < -1.0:",
        EACH,
        SURVIVES + "h11-status_404",
    ),
    Mutation(
        "401, 402 and 403 as a page",
        "_parsing/reply.py",
        "if known in _ACCOUNT_ERRORS and is_html(body):",
        "if False:",
        "../parsing/test_refusals.py",
        "firewall",
    ),
    Mutation(
        "5xx",
        "_parsing/reply.py",
        "ServerError if status_code >= 500",
        "InvalidRequest if status_code >= 500",
        EACH,
        SURVIVES + "(h11-status_502 or h11-status_503)",
    ),
    Mutation(
        "5xx with Retry-After",
        "_scheduling/failure_reactions.py",
        "now + max(backoff, error.retry_after or 0.0)",
        "now + backoff",
        EACH,
        "follows_a_hint and status_503_retry_after",
    ),
    Mutation(
        "429 pauses the key",
        "_scheduling/failure_reactions.py",
        "    hosts.pause_tier(entry.host_queue.tier, now, seconds)\n",
        "    pass\n",
        EACH,
        "follows_a_hint and limit",
    ),
    Mutation(
        "429 charges nobody's budget",
        "_scheduling/failure_reactions.py",
        "    pauses = health.record_pause(",
        "    entry.poll_failures = PollFailures(9, error)\n    pauses = health.record_pause(",
        "../scheduling/test_schedule.py",
        "Machine",
    ),
    Mutation(
        "the hint in seconds or as a date",
        "_parsing/retry_after.py",
        '_parse_retry_after(header(headers, "retry-after"), now)',
        "None",
        EACH,
        "hint and (rate_limit_seconds or rate_limit_date)",
    ),
    Mutation(
        "the hint since 1970",
        "_parsing/retry_after.py",
        "_MIN_EPOCH_S = 1e9",
        "_MIN_EPOCH_S = 1e12",
        EACH,
        "follows_a_hint and rate_limit_reset",
    ),
    Mutation(
        "the hint in the body",
        "_parsing/retry_after.py",
        'to_number(body.get("retry_after"))',
        "None",
        EACH,
        "hint and rate_limit_body",
    ),
    Mutation(
        "the hint in words",
        "_parsing/retry_after.py",
        "(?:wait|retry|again)",
        "(?:wxit|rxtry|agxin)",
        EACH,
        "hint and rate_limit_message",
    ),
    Mutation(
        "a time that has passed",
        "_scheduling/failure_reactions.py",
        "max(retry_after, limits.floor)",
        "retry_after",
        EACH,
        "hint and rate_limit_past",
    ),
    Mutation(
        "10^12 seconds",
        "_parsing/retry_after.py",
        "MAX_RETRY_AFTER_S = 300.0",
        "MAX_RETRY_AFTER_S = 1e13",
        EACH,
        "hint and rate_limit_huge",
    ),
    Mutation(
        "a hint that is negative or NaN",
        "_parsing/json_body.py",
        "return number if 0.0 <= number < math.inf else None",
        "return number",
        EACH,
        "hint and (rate_limit_negative or rate_limit_nan)",
    ),
    Mutation(
        "a wait is cancelled: its connection",
        "_transport/http11/origin_pool.py",
        "                    connection.abort()\n                    raise\n",
        "                    raise\n",
        "../transport/test_connections.py",
        "cancelled_at_any_step",
    ),
    Mutation(
        "a stream is left: what it had open",
        "_engine/streams.py",
        "        poller.unwatch_all(buffer.open_tickets, buffer)\n",
        "",
        "test_cancelling.py test_loop.py",
        "(stream_left and cancelled) or few_polls_follow",
    ),
    Mutation(
        "the client is closed: a fetch",
        "_engine/engine.py",
        "            if not self._is_closed:\n                raise",
        "            raise",
        "test_cancelling.py",
        "fetch and closed",
    ),
    Mutation(
        "the client is closed: all waits",
        "_polling/poller.py",
        "            self._complete_some()\n            await asyncio.sleep(0)",
        "            break",
        "test_cancelling.py",
        "wait and closed",
    ),
    Mutation(
        "20,000 tickets end a few at a time",
        "_polling/poller.py",
        "_COMPLETIONS_PER_YIELD = 256",
        "_COMPLETIONS_PER_YIELD = 10**9",
        "test_loop.py",
        "blocks_the_loop and refused",
    ),
    Mutation(
        "the key in the frames of a cancellation",
        "_transport/sender.py",
        "error = asyncio.CancelledError(*_cancel_message(cancelled))",
        "raise",
        "test_key.py",
        "cancelled_poll",
    ),
    Mutation(
        "the key that a server repeats",
        "_transport/credentials.py",
        'data = data.replace(encoding, b"[key]")',
        "pass",
        "test_key.py",
        "echoed_key",
    ),
    Mutation(
        "a submit is sent again after an exception of the transport's own",
        "_submitting/exchange_failure.py",
        'return TransportError(f"the transport broke: {type(error).__name__}")',
        'return TransportError("x", may_have_been_sent=False)',
        SUBMITS,
    ),
    Mutation(
        "a submit is sent again after a cancellation from within",
        "_submitting/exchange_failure.py",
        'return TransportError("the exchange was cancelled from within")',
        'return TransportError("x", may_have_been_sent=False)',
        SUBMITS,
    ),
    Mutation(
        "a submit is sent again after an error of the system",
        "_transport/sender.py",
        "TransportError(message)",
        "TransportError(message, may_have_been_sent=False)",
        SUBMITS,
    ),
    Mutation(
        "a submit is sent again after its time was up",
        "_transport/sender.py",
        'return TransportError(f"no complete response came within {seconds:g} s")',
        'return TransportError("x", may_have_been_sent=False)',
        SUBMITS,
    ),
    Mutation(
        "a submit is sent again after a server error",
        "_submitting/submit_exchange.py",
        "return isinstance(error, TransientError)",
        "return False",
        SUBMITS,
    ),
    Mutation(
        "a submit is sent again after a connection that broke",
        "_submitting/submit_exchange.py",
        "ConnectionImpossible():\n            return error.may_have_been_sent\n",
        "ConnectionImpossible():\n            error.may_have_been_sent = False\n"
        "            return False\n",
        SUBMITS,
    ),
    Mutation(
        "a submit is sent again for what its hook raised",
        "_submitting/submitter.py",
        "return CallbackFailure(error, result.ticket)",
        "return error",
        SUBMITS,
    ),
    Mutation(
        "a submit is sent for a caller who has gone, and then for the next",
        "_submitting/submitter.py",
        "return await asyncio.shield(submit_task)",
        "return await submit_task",
        SUBMITS,
    ),
    Mutation(
        "a submit is sent by a client that was closed",
        "_submitting/endpoint_service.py",
        "        if self._closing.is_set():\n            raise ClientClosed(CLOSED_MESSAGE)",
        "        pass",
        CLOSING,
    ),
    Mutation(
        "a submit has the link of another one's file",
        "_submitting/uploader.py",
        "links[upload.digest] = await self._upload_file(upload)",
        "links[upload.digest] = await self._upload_file(getattr(self, 'last', upload))\n"
        "                self.last = upload",
        SUBMITS,
    ),
    Mutation(
        "a submit's file is in doubt",
        "_submitting/uploader.py",
        "        error.may_have_been_sent = False",
        "        pass",
        FILES,
        "tried_again or given_up",
    ),
    Mutation(
        "a submit's file is sent twice",
        "_submitting/uploader.py",
        "if upload.digest not in links:",
        "if True:",
        FILES,
        "sent_once",
    ),
    Mutation(
        "a submit's file keeps its place",
        "_submitting/submitter.py",
        "        slots.release()\n        slots.duplicates.release(submit_request.payload_hash, number)\n",
        "        slots.duplicates.release(submit_request.payload_hash, number)\n",
        FILES,
        "refused_is_not or given_up",
    ),
    Mutation(
        "a submit's file that changed is sent",
        "_submitting/file_parameters.py",
        "if _checked_digest(self.parameter, data) != self.digest:",
        "if False:",
        FILES,
        "changes",
    ),
    Mutation(
        "a submit that never left",
        "_transport/httpx_adapter.py",
        "is_unsent=body.withdraw()",
        "is_unsent=False",
        "../submitting/test_sent_once.py",
        "port and (transport or client)",
    ),
    Mutation(
        "a submit that was read, and then a fault as of no connection",
        "_transport/send_proof.py",
        "        self._was_read = True\n",
        "",
        "../submitting/test_sent_once.py",
        "hook or wrapper",
    ),
    Mutation(
        "a submit whose hook raises one of our errors",
        "_transport/httpx_adapter.py",
        "httpx.InvalidURL, ModelsLabError)",
        "httpx.InvalidURL)",
        "../submitting/test_sent_once.py",
        "hook_raises",
    ),
    Mutation(
        "a submit that was said never to leave, and leaves",
        "_transport/send_proof.py",
        "if self._is_withdrawn:",
        "if False:",
        "../transport/test_send_proof.py",
        "leave_later",
    ),
    Mutation(
        "a submit without parameters",
        "_transport/request_builder.py",
        "bool(fields) or not (call.repeatable or",
        "bool(fields) or not (True or",
        "../submitting/test_sent_once.py",
        "but_its_name",
    ),
    Mutation(
        "the clock on the wall jumps: a pause after a fault",
        "_polling/poller.py",
        "        now = self._loop.time()\n        watchers",
        "        now = __import__('time').time() - 1.8e9\n        watchers",
        WALL,
        "no_deadline",
    ),
    Mutation(
        "the clock on the wall jumps: when the next look is due",
        "_polling/poller.py",
        "            entry = self._schedule.take(self._loop.time())",
        "            entry = self._schedule.take(__import__('time').time() - 1.8e9)",
        WALL,
        "no_deadline",
    ),
    Mutation(
        "the clock on the wall jumps: the deadline of a look",
        "_transport/deadlines.py",
        "_Exchange(task, loop.time() + self.seconds",
        "_Exchange(task, __import__('time').time() - 1.8e9 + self.seconds",
        WALL,
        "no_deadline",
    ),
    Mutation(
        "the clock on the wall jumps: the timeout of many",
        "_polling/stream_buffer.py",
        "    clock = asyncio.get_running_loop().time\n    yielder",
        "    clock = lambda: __import__('time').time() - 1.8e9\n    yielder",
        WALL,
        "no_deadline",
    ),
    Mutation(
        "the clock on the wall jumps: two tell of one ticket",
        "_journal/tickets.py",
        "written = [db.execute(_COMPLETE, change).rowcount == 1 for change in changes]",
        "written = [db.execute(_COMPLETE, change).rowcount >= 0 for change in changes]",
        WALL,
        "one_of_two_runs",
    ),
    Mutation(
        "the clock on the wall jumps: two go on looking",
        "_batch/lease.py",
        "if not await self._journal.leases.renew(self._run_id, lease=self.duration):",
        "await self._journal.leases.renew(self._run_id, lease=self.duration)\n                if False:",
        WALL,
        "polls_no_more",
    ),
    Mutation(
        "a day: connections are never closed",
        "_transport/http11/connection.py",
        "        if self._is_connected:\n            self._transport.abort()",
        "        if self._is_connected:\n            pass",
        "test_soak.py",
    ),
    Mutation(
        "a day: the connections that grew old stay open",
        "_transport/http11/origin_pool.py",
        "            del self._idle[connection]\n            connection.abort()",
        "            del self._idle[connection]",
        "test_soak.py",
    ),
    Mutation(
        "a day: the tickets that ended are remembered",
        "_polling/notifier.py",
        "            self.on_completed(outcome.ticket)\n",
        "            self.__dict__.setdefault('ends', []).append(completion)\n",
        "test_soak.py",
    ),
    Mutation(
        "a day: the bytes that came are remembered",
        "_polling/status_client.py",
        "            return await self._sender.poll(self._families[ticket.family], ticket)",
        "            response = await self._sender.poll(self._families[ticket.family], ticket)\n"
        "            self.__dict__.setdefault('kept', bytearray()).extend(response.body)\n"
        "            return response",
        "test_soak.py",
    ),
    Mutation(
        "a story: an end is told twice",
        "_polling/notifier.py",
        "                watcher.notify(outcome)\n",
        "                watcher.notify(outcome)\n                watcher.notify(outcome)\n",
        STORIES,
    ),
    Mutation(
        "a story: a ticket settles twice",
        "_polling/notifier.py",
        "            self.on_completed(outcome.ticket)\n",
        "            if self._listeners:\n"
        "                self._listeners(Completed(outcome=outcome, polls=completion.polls, "
        "waited=completion.waited))\n",
        STORIES,
    ),
    Mutation(
        "a story: no pause after a fault",
        "_scheduling/failure_reactions.py",
        "FailureReaction(now + max(backoff, error.retry_after or 0.0), paused)",
        "FailureReaction(now, paused)",
        STORIES,
    ),
    Mutation(
        "a story: half a pause after a fault",
        "_scheduling/pace.py",
        "self.floor * 2.0 ** min(failures - 1, 30)",
        "self.floor * 2.0 ** min(failures - 2, 30)",
        STORIES,
    ),
    Mutation(
        "a story: 5xx with Retry-After",
        "_scheduling/failure_reactions.py",
        "now + max(backoff, error.retry_after or 0.0)",
        "now + backoff",
        STORIES,
    ),
    Mutation(
        "a story: 429 pauses nothing",
        "_scheduling/failure_reactions.py",
        "    hosts.pause_tier(entry.host_queue.tier, now, seconds)\n",
        "    pass\n",
        STORIES,
    ),
    Mutation(
        "a story: 429 pauses one host of the key",
        "_scheduling/hosts.py",
        "        for host_queue in self.with_tier(tier):\n",
        "        for host_queue in self.with_tier(tier)[:1]:\n",
        STORIES,
    ),
    Mutation(
        "a story: all looks at once where none was answered",
        "_scheduling/host_queue.py",
        "        if self.health.is_proven or not self._in_flight:",
        "        if True:",
        STORIES,
    ),
    Mutation(
        "a story: five looks a second where none was answered",
        "_scheduling/host_queue.py",
        "_PROBE_INTERVAL_S = 1.0",
        "_PROBE_INTERVAL_S = 0.2",
        STORIES,
    ),
    Mutation(
        "a story: a pause does not ask for an answer",
        "_scheduling/host_health.py",
        "        self.is_proven = False\n        self._was_paused = True",
        "        self._was_paused = True",
        STORIES,
    ),
    Mutation(
        "a story: no outage is seen",
        "_scheduling/host_health.py",
        "_FAILURES_BEFORE_PAUSE = 10",
        "_FAILURES_BEFORE_PAUSE = 10**9",
        STORIES,
    ),
    Mutation(
        "a story: looks a bit early",
        "_scheduling/reply_reactions.py",
        "            return entry.poll_started + step\n",
        "            return entry.poll_started + 0.97 * step\n",
        STORIES,
    ),
    Mutation(
        "a story: a smaller budget of faults",
        "_scheduling/failure_reactions.py",
        "if entry.failures < limits.max_failures:",
        "if entry.failures < min(4, limits.max_failures):",
        STORIES,
    ),
    Mutation(
        "a story: a larger budget of faults",
        "_scheduling/failure_reactions.py",
        "if entry.failures < limits.max_failures:",
        "if entry.failures <= limits.max_failures:",
        STORIES,
    ),
    Mutation(
        "a story: faults that an answer does not forgive",
        "_scheduling/schedule.py",
        "            entry.poll_failures = None\n            if not",
        "            if not",
        STORIES,
    ),
    Mutation(
        "a story: 404 within the grace",
        "_scheduling/reply_reactions.py",
        "if age < policy.limits.grace:",
        "if age < -1.0:",
        STORIES,
    ),
    Mutation(
        "a story: 404 after the grace",
        "_scheduling/reply_reactions.py",
        "if age < policy.limits.grace:",
        "if age < 2.0 * policy.limits.grace:",
        STORIES,
    ),
    Mutation(
        "a story: looks for nobody",
        "_scheduling/schedule.py",
        "        if not entry.watchers and entry.is_queued:",
        "        if False:",
        STORIES,
    ),
    Mutation(
        "a story: who comes later is not told",
        "_scheduling/schedule.py",
        "            entry.watchers += (watcher,)\n",
        "            pass\n",
        STORIES,
    ),
    Mutation(
        "a story: a refusal ends one ticket",
        "_scheduling/failure_reactions.py",
        "            hosts.refuse_open(host_queues, error)",
        "            pass",
        STORIES,
    ),
    Mutation(
        "a story: more than the rate",
        "_scheduling/hosts.py",
        "            self._rate_limiters[host_queue.tier].record(now)\n",
        "            pass\n",
        STORIES,
    ),
]


def broken(mutation: Mutation) -> str:
    """
    The module with its one place broken.

    Raises:
        ValueError: There is no such place any more, or there are several.
    """
    text = (ROOT / PACKAGE / mutation.module).read_text("utf-8")
    if text.count(mutation.right) != 1:
        places = text.count(mutation.right)
        raise ValueError(f"{mutation.row}: {places} places in {mutation.module}, not one")
    return text.replace(mutation.right, mutation.wrong)


def survives(mutation: Mutation, folder: Path) -> bool:
    """
    Whether the tests pass though the package is broken.

    Raises:
        ValueError: There is no such place any more, or there are several.
    """
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / PACKAGE / mutation.module).write_text(broken(mutation), "utf-8")
    tests = [str(Path(__file__).parent / each) for each in mutation.tests.split()]
    options = ["-x", "-q", "--timeout=60", "-p", "no:cacheprovider", "-k", mutation.which]
    # Not the folder that this is run from, but the copy; also in the processes that tests start.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise ValueError(f"{mutation.row}: the tests did not run\n{done.stdout[-500:]}")
    return not done.returncode


def main() -> None:
    """Try the mutations whose row says what was asked for."""
    parser = argparse.ArgumentParser(description="Break the package, and see that tests fail.")
    parser.add_argument("row", nargs="?", default="", help="a part of a row's words")
    wanted = parser.parse_args().row
    bad = []
    for mutation in MUTATIONS:
        if wanted not in mutation.row:
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                survived = survives(mutation, Path(folder))
        except ValueError as error:
            bad.append(str(error))
            print(f"BROKEN    {error}", flush=True)  # noqa: T201
            continue
        if survived:
            bad.append(mutation.row)
        print(f"{'SURVIVED' if survived else 'seen':9} {mutation.row}", flush=True)  # noqa: T201
    print(f"{len(bad)} of {len(MUTATIONS)} went unseen: {bad}")  # noqa: T201
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
