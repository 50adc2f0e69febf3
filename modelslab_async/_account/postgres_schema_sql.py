"""The SQL that defines the tables and functions of a `PostgresAccount`."""

from typing import Final

from .._submitting.slot_holders import MAX_SLOT_AGE_S
from .._submitting.uncertain_slots import DEFAULT_DURATION_S
from .postgres_notify_sql import NEWS_FUNCTIONS
from .postgres_poll_times_sql import (
    POLL_FUNCTIONS,
    POLL_PERMITS_CHANGES,
    POLL_PERMITS_TABLE,
    POLL_VALUES,
)
from .postgres_webhook_hints_sql import HINT_FUNCTION
from .report_and_answer_types import LIVENESS_CHECK_S

VERSION: Final = 5
# A client that has sent no report for this many seconds counts as dead.
LEASE_S: Final = 30.0
# If the database server's clock goes back by more than this many seconds, all recorded times are
# moved back by the same amount.
_MAX_STEP_BACK_S: Final = 1.0
# A client that has sent no report for this many seconds loses its turn for a slot.
_MAX_REPORT_GAP_S: Final = 0.5

# The tables of an account. The only row of the table `account` is locked while the server handles a
# client's report. A report is one statement, so a dead client cannot keep the row locked.
_TABLES: Final = """
CREATE TABLE SCHEMA.account (
    id integer PRIMARY KEY CHECK (id = 1),
    version integer NOT NULL,
    rate float8,
    queue integer,
    last_seen float8 NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE SCHEMA.clients (
    client bigint PRIMARY KEY,
    seen_at float8 NOT NULL,
    process text,
    exchange bigint NOT NULL
) WITH (fillfactor = 50);
-- `since` is the exchange of its client in which a ticket was recorded or handed over.
CREATE TABLE SCHEMA.held_tickets (
    key text, family text, id text,
    client bigint NOT NULL,
    endpoint text NOT NULL,
    submitted_at float8 NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (key, family, id)
);
CREATE TABLE SCHEMA.submitting (
    key text, client bigint,
    in_flight integer NOT NULL,
    waiting integer NOT NULL,
    reported_at float8 NOT NULL,
    granted_at float8 NOT NULL,
    PRIMARY KEY (key, client)
) WITH (fillfactor = 50);
CREATE TABLE SCHEMA.uncertain (
    key text NOT NULL, client bigint NOT NULL, until float8 NOT NULL
);
CREATE TABLE SCHEMA.poll_times (key text PRIMARY KEY, next_at float8 NOT NULL);
CREATE TABLE SCHEMA.pollers (
    key text, client bigint, asked_at float8 NOT NULL, PRIMARY KEY (key, client)
);
CREATE TABLE SCHEMA.pauses (
    key text PRIMARY KEY, submits float8 NOT NULL, polls float8 NOT NULL
);
CREATE TABLE SCHEMA.webhook_hints (
    hint bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client bigint NOT NULL, body text NOT NULL, added_at float8 NOT NULL
);
INSERT INTO SCHEMA.account VALUES (1, VERSION, NULL, NULL, 0);
"""

_DEAD_CLIENTS: Final = """
CREATE FUNCTION SCHEMA.store_time() RETURNS float8 LANGUAGE sql VOLATILE
AS $$ SELECT extract(epoch FROM clock_timestamp())::float8 $$;

-- The submits in flight of dead clients may have started work, so they hold slots for a while.
CREATE FUNCTION SCHEMA.orphan_slots(t float8) RETURNS void LANGUAGE sql AS $$
    INSERT INTO SCHEMA.uncertain
        SELECT key, 0, t + UNCERTAIN_S FROM SCHEMA.submitting, generate_series(1, in_flight)
        WHERE client NOT IN (SELECT client FROM SCHEMA.clients);
    DELETE FROM SCHEMA.submitting WHERE client NOT IN (SELECT client FROM SCHEMA.clients);
    UPDATE SCHEMA.uncertain SET client = 0
        WHERE client <> 0 AND client NOT IN (SELECT client FROM SCHEMA.clients);
$$;

-- The store's clock was set back: what was recorded moves with it.
CREATE FUNCTION SCHEMA.shift_times(delta float8) RETURNS void LANGUAGE sql AS $$
    UPDATE SCHEMA.clients SET seen_at = seen_at + delta;
    UPDATE SCHEMA.held_tickets SET submitted_at = submitted_at + delta;
    UPDATE SCHEMA.submitting SET reported_at = reported_at + delta, granted_at = granted_at + delta;
    UPDATE SCHEMA.uncertain SET until = until + delta;
    UPDATE SCHEMA.poll_times SET next_at = next_at + delta;
    UPDATE SCHEMA.poll_permits SET granted = granted + delta,
        last_start = last_start + delta, latest_start = latest_start + delta;
    UPDATE SCHEMA.pollers SET asked_at = asked_at + delta;
    UPDATE SCHEMA.pauses SET submits = submits + delta, polls = polls + delta;
    UPDATE SCHEMA.webhook_hints SET added_at = added_at + delta;
$$;

-- Lock the account, forget clients other than `me` that have died, and return the time.
CREATE FUNCTION SCHEMA.begin_exchange(me bigint, dead bigint[]) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE t float8; seen float8;
BEGIN
    SELECT last_seen INTO STRICT seen FROM SCHEMA.account FOR UPDATE;
    t := SCHEMA.store_time();
    IF seen > t + STEP_BACK_S THEN
        PERFORM SCHEMA.shift_times(t - seen);
    END IF;
    UPDATE SCHEMA.account SET last_seen = t;
    DELETE FROM SCHEMA.clients
        WHERE client <> me AND (client = ANY (dead) OR seen_at < t - LEASE_S);
    IF FOUND THEN
        PERFORM SCHEMA.orphan_slots(t);
    END IF;
    RETURN t;
END $$;

-- Set the limits, unless clients are open. Return the limits that hold.
CREATE FUNCTION SCHEMA.open_account(new_rate float8, new_queue integer, dead bigint[])
RETURNS jsonb LANGUAGE plpgsql SET lock_timeout = 'LOCK_TIMEOUT' AS $$
DECLARE t float8;
BEGIN
    t := SCHEMA.begin_exchange(0, dead);
    IF NOT EXISTS (SELECT FROM SCHEMA.clients) THEN
        UPDATE SCHEMA.account SET rate = new_rate, queue = new_queue;
    END IF;
    RETURN (SELECT jsonb_build_object('rate', rate, 'queue', queue, 'now', SCHEMA.store_time())
        FROM SCHEMA.account);
END $$;
"""

_SLOTS: Final = """
CREATE FUNCTION SCHEMA.count_waiters(k text, me bigint, t float8, before float8) RETURNS integer
LANGUAGE sql AS $$
    SELECT count(*)::integer FROM SCHEMA.submitting
    WHERE key = k AND client <> me AND waiting > 0 AND granted_at < before
        AND reported_at > t - REPORT_GAP_S
$$;

-- A ticket that is no longer reported is freed only if the client has heard the reply to the
-- exchange in which it was recorded. Otherwise the client may not know that it holds the ticket.
CREATE FUNCTION SCHEMA.record_use(
    k text, me bigint, t float8, r jsonb, number bigint, heard bigint
) RETURNS void LANGUAGE sql AS $$
    DELETE FROM SCHEMA.held_tickets WHERE key = k AND client = me AND since <= heard
        AND (family, id) NOT IN (SELECT e->>0, e->>1 FROM jsonb_array_elements(r->'tickets') e);
    INSERT INTO SCHEMA.held_tickets AS held
        SELECT k, e->>0, e->>1, me, e->>2, (e->>3)::float8, number
        FROM jsonb_array_elements(r->'tickets') e
        ON CONFLICT (key, family, id) DO UPDATE SET client = me, since = number
            WHERE held.client <> me;
    DELETE FROM SCHEMA.uncertain WHERE key = k AND client = me;
    INSERT INTO SCHEMA.uncertain
        SELECT k, me, e::text::float8 FROM jsonb_array_elements(r->'uncertain') e;
    INSERT INTO SCHEMA.submitting AS own
        VALUES (k, me, (r->>'in_flight')::integer, (r->>'waiting')::integer, t, t)
        ON CONFLICT (key, client) DO UPDATE SET
            in_flight = excluded.in_flight, waiting = excluded.waiting, reported_at = t,
            -- A client that begins to wait goes behind those that wait already.
            granted_at = CASE own.waiting WHEN 0 THEN t ELSE own.granted_at END;
$$;

CREATE FUNCTION SCHEMA.exchange_slots(
    k text, me bigint, t float8, q integer, r jsonb, number bigint, heard bigint
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    wanted integer := (r->>'waiting')::integer;
    adopted jsonb; granted integer; free integer; mine integer; others integer;
    last_grant float8;
BEGIN
    PERFORM SCHEMA.record_use(k, me, t, r, number, heard);
    IF wanted > 0 THEN
        UPDATE SCHEMA.held_tickets SET client = me, since = number
            WHERE key = k AND client NOT IN (SELECT client FROM SCHEMA.clients);
    END IF;
    -- Also what was handed over in a reply that the client has not heard.
    SELECT coalesce(jsonb_agg(jsonb_build_array(family, id, endpoint, submitted_at)), '[]')
        INTO adopted FROM SCHEMA.held_tickets
        WHERE key = k AND client = me AND since > heard
            AND (family, id) NOT IN (SELECT e->>0, e->>1 FROM jsonb_array_elements(r->'tickets') e);
    SELECT q - (SELECT count(*) FROM SCHEMA.held_tickets WHERE key = k)
        - (SELECT count(*) FROM SCHEMA.uncertain WHERE key = k)
        - (SELECT coalesce(sum(in_flight), 0) FROM SCHEMA.submitting WHERE key = k) INTO free;
    SELECT granted_at INTO last_grant FROM SCHEMA.submitting WHERE key = k AND client = me;
    others := SCHEMA.count_waiters(k, me, t, 'infinity');
    -- Each client that has waited for longer gets a slot first, and slots go one at a time.
    mine := greatest(0, free - SCHEMA.count_waiters(k, me, t, last_grant));
    granted := least(wanted, mine, CASE WHEN others > 0 THEN 1 ELSE wanted END);
    IF granted > 0 THEN
        UPDATE SCHEMA.submitting SET in_flight = in_flight + granted, granted_at = t
            WHERE key = k AND client = me;
    END IF;
    PERFORM SCHEMA.tell_of_slots(k, me, t, wanted > granted, free - granted);
    RETURN jsonb_build_object('granted', granted, 'others', others > 0, 'adopted', adopted);
END $$;
"""

_EXCHANGE: Final = """
CREATE FUNCTION SCHEMA.exchange(
    me bigint, my_process text, number bigint, heard bigint, dead bigint[], reports jsonb,
    is_leaving boolean
) RETURNS jsonb LANGUAGE plpgsql SET lock_timeout = 'LOCK_TIMEOUT' AS $$
DECLARE
    t float8; limits SCHEMA.account; k text; r jsonb; allotment jsonb; allotments jsonb := '{}';
    neighbours jsonb;
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    t := SCHEMA.begin_exchange(me, dead);
    SELECT * INTO limits FROM SCHEMA.account;
    INSERT INTO SCHEMA.clients AS own VALUES (me, t, my_process, number)
        ON CONFLICT (client) DO UPDATE SET seen_at = t, exchange = number
            WHERE own.exchange < number;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a later exchange of this client has come first';
    END IF;
    -- A live client frees its slots by its next report. Until then it may use them itself.
    DELETE FROM SCHEMA.uncertain
        WHERE until <= t AND client NOT IN (SELECT client FROM SCHEMA.clients);
    DELETE FROM SCHEMA.held_tickets WHERE submitted_at <= t - SLOT_AGE_S
        AND client NOT IN (SELECT client FROM SCHEMA.clients);
    FOR k, r IN SELECT * FROM jsonb_each(reports) LOOP
        allotment := jsonb_build_object('pauses', SCHEMA.merge_pauses(k, r));
        IF limits.queue IS NOT NULL THEN
            allotment := allotment
                || SCHEMA.exchange_slots(k, me, t, limits.queue, r, number, heard);
        END IF;
        IF limits.rate IS NOT NULL THEN
            -- Clients of older versions report no results.
            PERFORM SCHEMA.record_poll_results(k, me, coalesce(r->'poll_results', '[]'));
            allotment := allotment || jsonb_build_object('poll_times', SCHEMA.take_poll_times(
                k, me, t, limits.rate, (r->>'polls_wanted')::integer));
        END IF;
        allotments := allotments || jsonb_build_object(k, allotment);
    END LOOP;
    IF is_leaving THEN
        DELETE FROM SCHEMA.clients WHERE client = me;
        PERFORM SCHEMA.orphan_slots(t);
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_array(client, process)), '[]') INTO neighbours
        FROM SCHEMA.clients
        WHERE client <> me AND seen_at <= t - LIVENESS_CHECK_S
            AND split_part(process, ' ', 1) = split_part(my_process, ' ', 1);
    RETURN jsonb_build_object(
        'now', SCHEMA.store_time(), 'neighbours', neighbours, 'allotments', allotments);
END $$;
"""

_VALUES: Final = {
    "LOCK_TIMEOUT": "8s",
    "VERSION": VERSION,
    "LEASE_S": LEASE_S,
    "STEP_BACK_S": _MAX_STEP_BACK_S,
    "UNCERTAIN_S": DEFAULT_DURATION_S,
    "SLOT_AGE_S": MAX_SLOT_AGE_S,
    "LIVENESS_CHECK_S": LIVENESS_CHECK_S,
    "REPORT_GAP_S": _MAX_REPORT_GAP_S,
    **POLL_VALUES,
}


def create_statements(schema: str) -> str:
    """Return the statements that create an account. `schema` is a quoted name."""
    return _fill_in(_TABLES + POLL_PERMITS_TABLE, schema) + _replace_functions(schema)


def migrate_statements(schema: str) -> str:
    """Return the statements that bring an account of an older version up to date."""
    tables = _fill_in(POLL_PERMITS_TABLE + POLL_PERMITS_CHANGES, schema)
    set_version = _fill_in("UPDATE SCHEMA.account SET version = VERSION;", schema)
    return tables + _replace_functions(schema) + set_version


def _replace_functions(schema: str) -> str:
    functions = NEWS_FUNCTIONS + _DEAD_CLIENTS + _SLOTS + POLL_FUNCTIONS + _EXCHANGE + HINT_FUNCTION
    return _fill_in(functions, schema).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def _fill_in(text: str, schema: str) -> str:
    for name, value in _VALUES.items():
        text = text.replace(name, str(value))
    return text.replace("SCHEMA", schema)
