"""Hypothesis strategies for every possible reply of one ticket."""

from operator import or_

from hypothesis import strategies as st

from modelslab_async import Failed, Processing, Success, Ticket

TICKET = Ticket("images", 1)

_TEXTS = st.text(max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=10,
)
# Bodies mix known field names with unknown ones, each with a value of any kind.
_NAMES = st.sampled_from(["status", "output", "meta", "message", "eta", "generationTime", "x"])
_BODIES = st.builds(
    or_,
    st.dictionaries(_TEXTS, _JSON, max_size=4),
    st.dictionaries(_NAMES, _JSON, max_size=5),
)
_SECONDS = st.none() | st.floats(0, 1e9)
_LINKS = st.lists(_TEXTS, max_size=3).map(tuple)

PROCESSING = st.builds(
    Processing,
    ticket=st.just(TICKET),
    status=_TEXTS,
    eta=_SECONDS,
    message=_TEXTS,
    future_links=_LINKS,
    fetch_result=st.none() | _TEXTS,
    raw=_BODIES,
)
_SUCCESS = st.builds(
    Success,
    ticket=st.just(TICKET),
    output=_LINKS,
    proxy_links=_LINKS,
    generation_time=_SECONDS,
    message=_TEXTS,
    nsfw=st.none() | st.booleans(),
    meta=st.dictionaries(_TEXTS, _JSON, max_size=4),
    raw=_BODIES,
)
_FAILED = st.builds(
    Failed,
    ticket=st.just(TICKET),
    message=_TEXTS,
    reason=st.sampled_from(["failed", "cancelled", "not_found"]),
    raw=_BODIES,
)
REPLIES = PROCESSING | _SUCCESS | _FAILED
