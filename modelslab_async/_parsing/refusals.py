"""Recognises a refusal by its message, because its HTTP status may be 200. Raises nothing."""

import re
from collections.abc import Mapping
from functools import cache

from .._models.errors import (
    AuthenticationError,
    InvalidRequest,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from .json_body import searchable_part

# A refusal ends every ticket of the key, so the message of a failed job must never be taken for a
# refusal by mistake. Therefore:
# - A phrase must start a sentence. "Unable to download x: 429 Too Many Requests" is about x.
# - In the message of a job that `failed`, only the phrases about the account are searched for.
# - Messages of upstream providers about their own keys ("Incorrect API key provided") do not count.
_SENTENCE_START = (
    r"(?:^|[.!?] |^(?:error|unauthori[sz]ed|authentication (?:error|failed)|access denied)\W{1,3})"
    r"(?:(?:your|the|this|you|please|have|are|provided) )*"
)
_ACCOUNT_PHRASES: Mapping[type[ModelsLabError], tuple[str, ...]] = {
    AuthenticationError: (
        r"(provide a valid|invalid|expired|missing|wrong|unknown|no) api[ _-]?key\b",
        r"api[ _-]?key (field |you provided )?(is |was |has )?(required|missing|invalid|wrong)",
        r"api[ _-]?key (is not valid|(is |was |has )?(been )?(expired|disabled|revoked|not found))",
        r"key (field )?is required",
        r"(unauthori[sz]ed( request| access)?|unauthenticated|(invalid|missing) key)\W*$",
    ),
    PaymentRequired: (
        r"(insufficient|not enough|(run )?out of) (api |wallet )?(credits?|balance|funds)\b",
        r"(don.t|do not) have (enough|sufficient|any) (api |wallet )?(credits?|balance|funds)\b",
        r"no (more )?(credits?|balance|funds)( left| remaining| available)?\W*$",
        r"credits? (are |have |has )?(been )?(exhausted|expired|used up|run out)",
        r"(current |free )?(plan|subscription|trial) (is |has |have )?(expired|ended)",
        r"(no|(don.t|do not) have any?) active (plan|subscription)",
        r"(fund|recharge|top up) your (wallet|account)",
        r"subscribe (again|to a plan)",
        r"payment required\W*$",
    ),
}
_ALL_PHRASES: Mapping[type[ModelsLabError], tuple[str, ...]] = {
    RateLimited: (
        r"(api )?rate limit(s|ed)?\b( \w+){0,2} (exceeded|reached|hit)",
        r"(exceeded|reached|hit) (your |the )?(api )?rate limit",
        r"(being )?rate limited",
        r"(sent )?too many (requests|attempts)",
        r"(reached )?(the )?maximum (number of |of )?(\d+ )?queued requests",
        r"[^.:]{0,80}\bspam filter",
    ),
    **_ACCOUNT_PHRASES,
    PermissionDenied: (
        r"[\w ]{0,60}\brequires? an? (\w+ )?subscription\b",
        r"[\w ]{0,60}\brequires? an? (premium|paid|pro|unlimited|enterprise|higher) plan\b",
        r"[\w ]{0,60}\bnot (available|included) (in|on|for|by) your (\w+ )?(subscription|plan)",
        r"[\w ]{0,60}\bonly available (for|to|on|in) (the )?(premium|paid|pro|enterprise)\b",
        r"(current )?(subscription|plan) does not (include|allow|support)\b",
        r"upgrade your (subscription|plan)\b",
    ),
    InvalidRequest: (
        r"invalid api request",
        r"(request[_ ]?id|id) field is required",
    ),
    ServerError: (
        r"internal server error",
        r"service (is )?(temporarily |currently )?unavailable",
        r"server is (currently |too )?(busy|overloaded|down|under maintenance)",
        r"(bad gateway|gateway time-?out)\W*$",
    ),
}


# Compiled at first use, because compiling all patterns takes a tenth of the time of `import httpx`.
@cache
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"{_SENTENCE_START}(?:{'|'.join(phrases)})", re.IGNORECASE)


def find_refusal(message: str, *, any_kind: bool) -> type[ModelsLabError] | None:
    """
    Return the error class of the refusal in a message, or None.

    Args:
        message: The server's message.
        any_kind: Whether to search for every kind of refusal. A job that `failed` was accepted
            before, so its message can only be a refusal about the account.
    """
    table = _ALL_PHRASES if any_kind else _ACCOUNT_PHRASES
    start = searchable_part(message)
    return next(
        (error for error, phrases in table.items() if _pattern(phrases).search(start)), None
    )
