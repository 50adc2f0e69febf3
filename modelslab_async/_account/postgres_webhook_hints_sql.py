"""
The SQL function that passes webhook hints between clients.

A webhook hint holds the ids from one webhook, so that clients know which tickets to poll now.
"""

from typing import Final

from .webhook_hint_codec import MAX_AGE_S

# Stores and reads webhook hints. The function locks the account, so that hints are committed in the
# order of their numbers. If hint 7 were committed after a client has read hint 8, the client would
# never read hint 7.
_FUNCTION: Final = """
CREATE FUNCTION SCHEMA.share_hints(me bigint, last_read bigint, bodies text[], max_count bigint)
RETURNS jsonb LANGUAGE plpgsql SET lock_timeout = 'LOCK_TIMEOUT' AS $$
DECLARE t float8;
BEGIN
    IF cardinality(bodies) > 0 THEN
        PERFORM FROM SCHEMA.account FOR UPDATE;
        t := SCHEMA.store_time();
        INSERT INTO SCHEMA.webhook_hints (client, body, added_at)
            SELECT me, body, t FROM unnest(bodies) WITH ORDINALITY AS given (body, place)
            ORDER BY place;
        DELETE FROM SCHEMA.webhook_hints WHERE added_at < t - HINT_AGE_S
            OR hint <= (SELECT max(hint) FROM SCHEMA.webhook_hints) - max_count;
        PERFORM SCHEMA.tell(client) FROM SCHEMA.clients WHERE client <> me;
    END IF;
    RETURN (
        SELECT jsonb_build_object('last_read', coalesce(max(hint), last_read), 'bodies',
            coalesce(jsonb_agg(body ORDER BY hint) FILTER (WHERE client <> me), '[]'))
        FROM SCHEMA.webhook_hints
        WHERE hint > last_read AND added_at >= SCHEMA.store_time() - HINT_AGE_S);
END $$;
"""

HINT_FUNCTION: Final = _FUNCTION.replace("HINT_AGE_S", str(MAX_AGE_S))
