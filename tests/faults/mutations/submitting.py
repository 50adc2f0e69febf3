"""Mutations of submits and uploads. Applies none of them."""

from .mutation import CLOSING, SUBMIT_SIMULATION, UPLOADS, Mutation

MUTATIONS = [
    Mutation(
        "submit sent again: after an unknown exception of the transport",
        "_submitting/exchange_error_translation.py",
        'return TransportError(f"the transport broke: {type(error).__name__}")',
        'return TransportError("x", may_have_been_sent=False)',
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "submit sent again: after a cancellation inside the transport",
        "_submitting/exchange_error_translation.py",
        'return TransportError("the exchange was cancelled from within")',
        'return TransportError("x", may_have_been_sent=False)',
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "submit sent again: after a server error",
        "_submitting/submit_exchange.py",
        "return isinstance(error, TransientError)",
        "return False",
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "submit sent again: after a broken connection",
        "_submitting/submit_exchange.py",
        "ConnectionImpossible():\n            return error.may_have_been_sent\n",
        "ConnectionImpossible():\n            error.may_have_been_sent = False\n"
        "            return False\n",
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "submit sent again: after an error of on_submitted",
        "_submitting/submit_recorder.py",
        "return CallbackFailure(error, result.ticket)",
        "return error",
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "submit sent for a cancelled caller, and again for the next",
        "_submitting/submitter.py",
        "return await asyncio.shield(submit_task)",
        "return await submit_task",
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "submit sent by a closed client",
        "_submitting/endpoint_service.py",
        "        if self._closing.is_set():\n            raise ClientClosed(CLOSED_MESSAGE)",
        "        pass",
        CLOSING,
    ),
    Mutation(
        "upload: a submit gets the link of another file",
        "_submitting/uploader.py",
        "self._upload_file(upload, on_uploaded, connect_timeout)",
        "self._upload_file(getattr(self, 'last', upload), on_uploaded, None)\n"
        "                self.last = upload",
        SUBMIT_SIMULATION,
    ),
    Mutation(
        "upload with an unknown result: not sent again",
        "_submitting/uploader.py",
        "        error.may_have_been_sent = False",
        "        pass",
        UPLOADS,
        "tried_again or given_up",
    ),
    Mutation(
        "upload: the same file is sent twice",
        "_submitting/uploader.py",
        "if upload.digest not in links:",
        "if True:",
        UPLOADS,
        "sent_once",
    ),
    Mutation(
        "upload that fails: its slot is not released",
        "_submitting/active_submit.py",
        "        self.slots.release()\n        self.release_duplicate()\n",
        "        self.release_duplicate()\n",
        UPLOADS,
        "refused_upload or given_up",
    ),
    Mutation(
        "upload: a file that changed meanwhile is sent",
        "_submitting/file_reading.py",
        "if _checked_digest(self.parameter, data) != self.digest:",
        "if False:",
        UPLOADS,
        "changes",
    ),
]
