"""The SQL that divides the poll rate among clients, and merges their pauses."""

from typing import Final

# Accounts before version 3 lack this table. The permit was last granted to `client`, for a poll at
# `granted`. The last reported poll started at `last_start`. Until the next grant, no poll starts
# after `latest_start`.
POLL_PERMITS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS SCHEMA.poll_permits (
    key text, permit integer,
    client bigint NOT NULL,
    granted float8 NOT NULL,
    last_start float8 NOT NULL,
    latest_start float8 NOT NULL,
    PRIMARY KEY (key, permit)
) WITH (fillfactor = 50);
"""

# Roles that may use the older tables may also use the new one.
POLL_PERMITS_GRANTS: Final = """
DO $do$
DECLARE role oid; privileges text;
BEGIN
    FOR role, privileges IN
        SELECT grantee, string_agg(privilege_type, ', ')
        FROM pg_class, aclexplode(relacl) WHERE oid = $name$SCHEMA.poll_times$name$::regclass
        GROUP BY grantee
    LOOP
        EXECUTE format($grant$GRANT %s ON SCHEMA.poll_permits TO %s$grant$, privileges,
            CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END);
    END LOOP;
END $do$;
"""

POLL_FUNCTIONS: Final = """
-- What became of the poll times that a client was granted: see the module `poll_permits`.
CREATE FUNCTION SCHEMA.record_poll_results(k text, me bigint, results jsonb) RETURNS void
LANGUAGE sql AS $$
    UPDATE SCHEMA.poll_permits AS permit SET
        latest_start = coalesce(rests_from, last_start),
        last_start = coalesce(rests_from, last_start)
    FROM (
        SELECT (e->>0)::float8 AS at, max((e->>1)::float8) AS rests_from
        FROM jsonb_array_elements(results) e GROUP BY 1
    ) AS result
    WHERE key = k AND client = me AND granted = result.at;
$$;

CREATE FUNCTION SCHEMA.add_poll_permits(k text, count integer, rested_since float8) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO SCHEMA.poll_permits
        SELECT k, n, 0, 0, rested_since, rested_since
        FROM generate_series((SELECT count(*) FROM SCHEMA.poll_permits WHERE key = k), count - 1) n;
$$;

-- `extra_float_digits` keeps all digits of the times, because clients name them in their results.
CREATE FUNCTION SCHEMA.take_poll_times(
    k text, me bigint, t float8, polls_a_second float8, wanted integer
) RETURNS jsonb LANGUAGE plpgsql SET extra_float_digits = 1 AS $$
DECLARE
    permits integer := ceil(polls_a_second);
    rest float8 := permits / polls_a_second * REST_S;
    step float8 := STEP_S / polls_a_second;
    asking integer; free record; next_time float8; times jsonb := '[]';
BEGIN
    IF wanted = 0 THEN
        RETURN times;
    END IF;
    DELETE FROM SCHEMA.pollers WHERE asked_at <= t - ASK_GAP_S;
    INSERT INTO SCHEMA.pollers VALUES (k, me, t)
        ON CONFLICT (key, client) DO UPDATE SET asked_at = t;
    SELECT count(*) INTO asking FROM SCHEMA.pollers WHERE key = k;
    PERFORM SCHEMA.add_poll_permits(k, permits, t - rest);
    next_time := greatest(t, (SELECT next_at FROM SCHEMA.poll_times WHERE key = k));
    FOR free IN
        SELECT permit, latest_start + rest AS free_at FROM SCHEMA.poll_permits
        WHERE key = k AND permit < permits ORDER BY latest_start
        LIMIT least(wanted, greatest(1,
            floor(polls_a_second * least(ANSWER_S, SHARE_S / asking))))
    LOOP
        IF times = '[]' THEN
            next_time := greatest(next_time, free.free_at);
        END IF;
        -- Do not wait for a permit that still rests. The next answer may grant it, or another.
        EXIT WHEN free.free_at > next_time;
        UPDATE SCHEMA.poll_permits
            SET client = me, granted = next_time, latest_start = next_time + LATENESS_S
            WHERE key = k AND permit = free.permit;
        times := times || to_jsonb(next_time);
        next_time := next_time + step;
    END LOOP;
    INSERT INTO SCHEMA.poll_times VALUES (k, next_time)
        ON CONFLICT (key) DO UPDATE SET next_at = excluded.next_at;
    RETURN times;
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
