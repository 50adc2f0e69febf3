"""The SQL functions that divide the poll rate among clients, and merge their pauses."""

from typing import Final

POLL_FUNCTIONS: Final = """
CREATE FUNCTION SCHEMA.take_poll_times(
    k text, me bigint, t float8, polls_a_second float8, wanted integer
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE asking integer; taken integer; first_at float8; step float8 := STEP_S / polls_a_second;
BEGIN
    IF wanted = 0 THEN
        RETURN '[]';
    END IF;
    DELETE FROM SCHEMA.pollers WHERE asked_at <= t - ASK_GAP_S;
    INSERT INTO SCHEMA.pollers VALUES (k, me, t)
        ON CONFLICT (key, client) DO UPDATE SET asked_at = t;
    SELECT count(*) INTO asking FROM SCHEMA.pollers WHERE key = k;
    taken := least(wanted, greatest(1, floor(polls_a_second * SHARE_S / asking)));
    first_at := greatest(t, (SELECT next_at FROM SCHEMA.poll_times WHERE key = k));
    INSERT INTO SCHEMA.poll_times VALUES (k, first_at + taken * step)
        ON CONFLICT (key) DO UPDATE SET next_at = excluded.next_at;
    RETURN (SELECT jsonb_agg(first_at + n * step) FROM generate_series(0, taken - 1) n);
END $$;

CREATE FUNCTION SCHEMA.merge_pauses(k text, r jsonb) RETURNS jsonb LANGUAGE sql AS $$
    INSERT INTO SCHEMA.pauses AS known
        VALUES (k, (r->'pauses'->>0)::float8, (r->'pauses'->>1)::float8)
        ON CONFLICT (key) DO UPDATE SET
            submits = greatest(known.submits, excluded.submits),
            polls = greatest(known.polls, excluded.polls)
            WHERE known.submits < excluded.submits OR known.polls < excluded.polls;
    SELECT jsonb_build_array(submits, polls) FROM SCHEMA.pauses WHERE key = k;
$$;
"""
