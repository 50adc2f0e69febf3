"""The SQL functions that tell clients of a `PostgresAccount` when to send a report."""

from typing import Final

_CHANNEL_PREFIX: Final = "modelslab_async_"

# Each client listens to its own channel. On a shared channel, one free slot would wake all clients,
# and all of them would report at once.
_FUNCTIONS: Final = """
CREATE FUNCTION SCHEMA.tell(client bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('CHANNEL_PREFIX' || client, '');
$$;

-- Tell the clients whose turn it is that slots are free.
CREATE FUNCTION SCHEMA.tell_of_slots(
    k text, me bigint, t float8, still_waits boolean, free integer
) RETURNS void LANGUAGE sql AS $$
    SELECT SCHEMA.tell(client) FROM (
        SELECT client FROM SCHEMA.submitting
        WHERE key = k AND waiting > 0 AND reported_at > t - REPORT_GAP_S
            AND (client <> me OR still_waits)
        ORDER BY granted_at LIMIT greatest(0, free)
    ) AS next_in_turn;
$$;
"""

NEWS_FUNCTIONS: Final = _FUNCTIONS.replace("CHANNEL_PREFIX", _CHANNEL_PREFIX)


def channel_of(client: int) -> str:
    """Return the name of the channel to which a client listens."""
    return f"{_CHANNEL_PREFIX}{client}"
