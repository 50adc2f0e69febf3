"""The SQL that divides the poll rate among clients, and merges their pauses."""

from typing import Final

from .poll_permit_rules import (
    MAX_ANSWER_S,
    MAX_ASK_GAP_S,
    MAX_LATENESS_S,
    MAX_POLL_AGE_S,
    MAX_SHARE_S,
    MAX_SILENCE_S,
    SURPLUS_RESTS,
    rest_seconds,
    step_seconds,
)

# The maximum error, in seconds, of a client's estimate of the database server's time.
_MAX_CLOCK_ERROR_S: Final = 0.01

# The values that replace the names in capital letters in `POLL_FUNCTIONS`.
POLL_VALUES: Final = {
    "SHARE_S": MAX_SHARE_S,
    "ANSWER_S": MAX_ANSWER_S,
    "ASK_GAP_S": MAX_ASK_GAP_S,
    "LATENESS_S": MAX_LATENESS_S,
    "SILENCE_S": MAX_SILENCE_S,
    "POLL_AGE_S": MAX_POLL_AGE_S,
    "SURPLUS_RESTS": SURPLUS_RESTS,
    # These two values are for a rate of one poll a second. From them, the SQL functions compute the
    # values for the account's rate.
    "REST_S": rest_seconds(1.0, _MAX_CLOCK_ERROR_S),
    "STEP_S": step_seconds(1.0, _MAX_CLOCK_ERROR_S),
}

# One row for each permit. The latest grant was to `client`, for a poll at the time `granted`.
# `latest_start` is the latest possible start of this poll. `last_start` is the start of the latest
# poll whose end was reported. When the end of the granted poll is reported, both columns become
# equal. While they differ, the permit is open. Accounts before version 3 lack this table, and
# accounts of version 3 lack its indexes.
POLL_PERMITS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS SCHEMA.poll_permits (
    key text, permit integer,
    client bigint NOT NULL,
    granted float8 NOT NULL,
    last_start float8 NOT NULL,
    latest_start float8 NOT NULL,
    PRIMARY KEY (key, permit)
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS poll_permits_by_latest_start ON SCHEMA.poll_permits (key, latest_start);
CREATE INDEX IF NOT EXISTS poll_permits_by_granted ON SCHEMA.poll_permits (key, granted);
"""

# Drop a function of version 3 that is not used any more. Give each role the same rights to the
# table `poll_permits` as it has to the older table `poll_times`.
POLL_PERMITS_CHANGES: Final = """
DROP FUNCTION IF EXISTS SCHEMA.add_poll_permits(text, integer, float8);
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
-- What became of the poll times that a client was granted: see `poll_permit_rules`. A result
-- is the granted time, the time from which its permit rests, and whether the poll is in flight. An
-- older client leaves out the last part.
-- Without the settings `enable_...`, the server may plan for a small table, and then read all of a
-- large one. They make it think that some queries are expensive. With `jit` it would compile these.
CREATE FUNCTION SCHEMA.record_poll_results(k text, me bigint, results jsonb) RETURNS void
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off AS $$
DECLARE result record;
BEGIN
    FOR result IN
        SELECT (e->>0)::float8 AS at, max((e->>1)::float8) AS rests_from,
            bool_and(coalesce((e->>2)::boolean, false)) AS is_open
        FROM jsonb_array_elements(results) e GROUP BY 1
    LOOP
        UPDATE SCHEMA.poll_permits SET
            latest_start = coalesce(result.rests_from, last_start),
            last_start = CASE WHEN result.is_open THEN last_start
                ELSE coalesce(result.rests_from, last_start) END
            WHERE key = k AND client = me AND granted = result.at;
    END LOOP;
END $$;

-- `extra_float_digits` keeps all digits of the times, because clients name them in their results.
CREATE FUNCTION SCHEMA.take_poll_times(
    k text, me bigint, t float8, polls_a_second float8, wanted integer
) RETURNS jsonb LANGUAGE plpgsql
SET extra_float_digits = 1 SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    permits integer := ceil(polls_a_second);
    rest float8 := permits / polls_a_second * REST_S;
    step float8 := STEP_S / polls_a_second;
    asking integer; most integer; known integer; free record; next_time float8;
    times float8[] := '{}';
BEGIN
    IF wanted = 0 THEN
        RETURN '[]';
    END IF;
    DELETE FROM SCHEMA.pollers WHERE asked_at <= t - ASK_GAP_S;
    INSERT INTO SCHEMA.pollers VALUES (k, me, t)
        ON CONFLICT (key, client) DO UPDATE SET asked_at = t;
    SELECT count(*) INTO asking FROM SCHEMA.pollers WHERE key = k;
    most := least(wanted, greatest(1, floor(polls_a_second * least(ANSWER_S, SHARE_S / asking))));
    -- The permits that are stored are numbered from 0.
    known := coalesce((SELECT permit FROM SCHEMA.poll_permits
        WHERE key = k ORDER BY permit DESC LIMIT 1) + 1, 0);
    IF known > permits THEN
        -- Remove the permits of a higher rate, all at once, after all of them have rested.
        DELETE FROM SCHEMA.poll_permits WHERE key = k AND permit >= permits
            AND t - SURPLUS_RESTS * rest >= (SELECT max(latest_start) FROM SCHEMA.poll_permits
                WHERE key = k AND permit >= permits);
    END IF;
    next_time := greatest(t, (SELECT next_at FROM SCHEMA.poll_times WHERE key = k));
    FOR free IN
        SELECT permit, latest_start + rest AS free_at FROM SCHEMA.poll_permits
        -- Open permits of silent clients stay out of use.
        WHERE key = k AND permit < permits AND (latest_start = last_start
            OR client IN (SELECT client FROM SCHEMA.clients WHERE seen_at > t - SILENCE_S)
            OR latest_start <= t - POLL_AGE_S)
        ORDER BY latest_start LIMIT most
    LOOP
        IF times = '{}' AND known >= permits THEN
            next_time := greatest(next_time, free.free_at);
        END IF;
        -- Do not wait for a permit that still rests. The next answer may grant it, or another.
        EXIT WHEN free.free_at > next_time;
        UPDATE SCHEMA.poll_permits
            SET client = me, granted = next_time, latest_start = next_time + LATENESS_S
            WHERE key = k AND permit = free.permit;
        times := times || next_time;
        next_time := next_time + step;
    END LOOP;
    WHILE known < permits AND cardinality(times) < most LOOP
        INSERT INTO SCHEMA.poll_permits
            VALUES (k, known, me, next_time, t - rest, next_time + LATENESS_S);
        known := known + 1;
        times := times || next_time;
        next_time := next_time + step;
    END LOOP;
    INSERT INTO SCHEMA.poll_times VALUES (k, next_time)
        ON CONFLICT (key) DO UPDATE SET next_at = excluded.next_at;
    RETURN to_jsonb(times);
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
