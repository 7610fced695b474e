"""The tables of a store on PostgreSQL, step by step, and the statements that the engine runs there.

Everything is named with its schema, since nothing may lean on a session's search path.
"""

from __future__ import annotations

from functools import lru_cache

_FIRST = """
CREATE TABLE {s}.diptych_store (
    id integer PRIMARY KEY CHECK (id = 1),
    format integer NOT NULL,
    context text NOT NULL,
    epoch text NOT NULL,
    incarnation text NOT NULL
);

-- one row, changed under the store's lock by everything that writes: where the log ends, and a
-- count by which a process sees that nobody else has written since.
CREATE TABLE {s}.diptych_head (
    id integer PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL,
    writes bigint NOT NULL
) WITH (fillfactor = 10);

-- the last group that each process has written: whether one happened whose answer was lost.
CREATE TABLE {s}.diptych_writers (
    writer text COLLATE "C" PRIMARY KEY,
    written text NOT NULL,
    time bigint NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE {s}.diptych_names (
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    schema integer NOT NULL,
    shape text NOT NULL,
    PRIMARY KEY (kind, name)
);

-- position is given under the store's lock: ascending in commit order, never reused.
-- causation is the command; correlation is left out where it is the same.
CREATE TABLE {s}.diptych_events (
    position bigint PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    schema integer NOT NULL,
    data text NOT NULL,
    time bigint NOT NULL,
    causation text NOT NULL,
    correlation text,
    principal text NOT NULL,
    metadata bytea,
    UNIQUE (tenant, stream, version)
);

CREATE TABLE {s}.diptych_tags (
    tenant text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tenant, tag, position)
);

CREATE TABLE {s}.diptych_outcomes (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    position bigint NOT NULL,
    stream text NOT NULL,
    version bigint NOT NULL,
    count integer NOT NULL,
    refusal text,
    time bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- target is the head of the log when the view was new: before it is there, it shows half.
CREATE TABLE {s}.diptych_checkpoints (
    name text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    target bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- who has the store open, as they say themselves; views is JSON. Nothing but status reads it.
CREATE TABLE {s}.diptych_processes (
    id text COLLATE "C" PRIMARY KEY,
    host text NOT NULL,
    space text NOT NULL,
    pid integer NOT NULL,
    started bigint NOT NULL,
    seen bigint NOT NULL,
    "left" bigint,
    views text NOT NULL
);

-- views that stand still for a while, because somebody wants it so.
CREATE TABLE {s}.diptych_pauses (
    view text COLLATE "C" PRIMARY KEY,
    by text NOT NULL,
    reason text NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL
);

INSERT INTO {s}.diptych_head (id, position, writes) VALUES (1, 0, 0);

-- whose it is, the first app says that opens it.
INSERT INTO {s}.diptych_store (id, format, context, epoch, incarnation) VALUES (1, 1, '', '', '');

-- writes a group of commits that was judged already, in one trip: false, and nothing is written,
-- if somebody has written since. "known" is what the writer knows of diptych_head.writes; null
-- where it has the lock, and has looked. The lock is taken before the first look at a table: each
-- statement of a VOLATILE function has a snapshot of its own, in READ COMMITTED.
CREATE FUNCTION {s}.diptych_write(
    known bigint, writer_id text, written_now text,
    e_tenant text[], e_stream text[], e_version bigint[], e_name text[], e_schema integer[],
    e_data text[], e_time bigint[], e_causation text[], e_correlation text[], e_principal text[],
    t_event integer[], t_tag text[],
    o_tenant text[], o_id text[], o_fingerprint bytea[], o_event integer[], o_stream text[],
    o_version bigint[], o_count integer[], o_refusal text[],
    c_name text[], c_position bigint[]
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
    before bigint;
    now_micros bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock({lock_class}, {lock_key}) THEN
        PERFORM set_config('lock_timeout', '{lock_ms}ms', true);
        PERFORM pg_advisory_xact_lock({lock_class}, {lock_key});
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'diptych writes at READ COMMITTED only' USING ERRCODE = '25001';
    END IF;
    UPDATE {s}.diptych_head
        SET position = position + cardinality(e_stream), writes = writes + 1
        WHERE id = 1 AND (known IS NULL OR writes = known)
        RETURNING position - cardinality(e_stream) INTO before;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF cardinality(e_stream) > 0 THEN
        INSERT INTO {s}.diptych_events (position, tenant, stream, version, name, schema, data,
                time, causation, correlation, principal)
            SELECT before + n, tenant, stream, version, name, schema, data, time, causation,
                correlation, principal
            FROM unnest(e_tenant, e_stream, e_version, e_name, e_schema, e_data, e_time,
                e_causation, e_correlation, e_principal) WITH ORDINALITY
                AS e(tenant, stream, version, name, schema, data, time, causation, correlation,
                    principal, n);
        IF cardinality(t_tag) > 0 THEN
            INSERT INTO {s}.diptych_tags (tenant, tag, position)
                SELECT e_tenant[event], tag, before + event
                FROM unnest(t_event, t_tag) AS t(event, tag);
        END IF;
    END IF;
    IF cardinality(o_id) > 0 THEN
        INSERT INTO {s}.diptych_outcomes (tenant, id, fingerprint, position, stream, version,
                count, refusal, time)
            SELECT tenant, id, fingerprint, before + event, stream, version, count, refusal,
                now_micros
            FROM unnest(o_tenant, o_id, o_fingerprint, o_event, o_stream, o_version, o_count,
                o_refusal)
                AS o(tenant, id, fingerprint, event, stream, version, count, refusal);
    END IF;
    IF cardinality(c_name) > 0 THEN
        INSERT INTO {s}.diptych_checkpoints AS c (name, position)
            SELECT name, position FROM unnest(c_name, c_position) AS n(name, position)
            ON CONFLICT (name) DO UPDATE SET position = excluded.position;
    END IF;
    IF writer_id IS NOT NULL THEN
        INSERT INTO {s}.diptych_writers AS w (writer, written, time)
            VALUES (writer_id, written_now, now_micros)
            ON CONFLICT (writer) DO UPDATE SET written = excluded.written, time = excluded.time;
    END IF;
    RETURN true;
END
$body$
"""

STEPS = (_FIRST,)
"""What makes each format out of the one before it; the first out of nothing. Never changed once
released: a new format is a new step."""

FORMAT = len(STEPS)

LOCK_MS = 10_000
"""Milliseconds to wait for the store's lock."""


_INCARNATION = """
(SELECT system_identifier FROM pg_control_system()) || '/' ||
CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END
|| '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || {table} ||
'/x' || {written} || '/'
"""

INCARNATION = _INCARNATION.format(
    table="$1::text::regclass::oid", written="pg_current_xact_id()::xid"
)
"""Where a row that this transaction writes stands, $1 being its table: the server, its timeline (a
replica that was promoted begins one, and so does a recovery to a point in time), the database, the
table, and the transaction. A row out of a dump was written by another one than it says."""

_FOUND = _INCARNATION.format(table="tableoid", written="xmin")


def migration(schema: str, lock: tuple[int, int], found: int) -> str:
    """The SQL that brings a store from a format to today's; "" where nothing is to be done.

    Args:
        found: Its format; 0 where there is none.
    """
    steps = [
        step.format(s=schema, lock_class=lock[0], lock_key=lock[1], lock_ms=LOCK_MS).strip()
        for step in STEPS[found:]
    ]
    if not found and schema != "public":
        steps.insert(0, f"CREATE SCHEMA IF NOT EXISTS {schema}")
    if steps and FORMAT > 1:
        steps.append(
            f"UPDATE {schema}.diptych_store SET format = {FORMAT}, incarnation = replace("
            "incarnation, '/x' || xmin || '/', '/x' || pg_current_xact_id()::xid || '/')"
        )
    return ";\n\n".join(steps) + (";\n" if steps else "")


_EVENT = (
    "e.position, e.tenant, e.stream, e.version, e.name, e.schema, e.data, e.time, e.causation, "
    "coalesce(e.correlation, e.causation), e.principal"
)


class Statements:
    """The engine's SQL in one schema."""

    def __init__(self, schema: str) -> None:
        s = self.schema = schema
        events = self.select_events = f"SELECT {_EVENT} FROM {s}.diptych_events e"
        self.select_format = (
            f"SELECT format, context, epoch, incarnation = {_FOUND} FROM {s}.diptych_store"
        )
        self.select_incarnation = (
            f"SELECT pg_is_in_recovery(), epoch, incarnation IN ('', {_FOUND}) "
            f"FROM {s}.diptych_store"
        )
        self.select_head = f"SELECT position FROM {s}.diptych_head"
        self.select_all = (
            f"{events} WHERE e.position > $1::bigint ORDER BY e.position LIMIT $2::integer"
        )
        self.select_named = (
            f"{events} WHERE e.position > $1::bigint AND e.position <= $3::bigint "
            "AND e.name = ANY ($4::text[]) ORDER BY e.position LIMIT $2::integer"
        )
        self.select_named_and_head = (
            f"SELECT e.*, h.position FROM {s}.diptych_head h "
            f"LEFT JOIN LATERAL ({self.select_named}) e ON true ORDER BY e.position"
        )
        """The events, each with the head of the log beside it; one row without an event if there is
        none."""
        self.select_stream = (
            f"{events} WHERE tenant = $1::text AND stream = $2::text AND version > $3::bigint "
            "AND position > $4::bigint ORDER BY version LIMIT $5::integer"
        )
        self.select_pages = (
            "SELECT coalesce(p.schema, 1), p.names, p.data "
            "FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY "
            "AS wanted (tenant, stream, version, n) "
            "CROSS JOIN LATERAL (SELECT max(e.schema) AS schema, "
            "array_agg(e.name ORDER BY e.version) AS names, "
            "string_agg(e.data, ',' ORDER BY e.version) AS data FROM "
            f"(SELECT schema, name, data, version FROM {s}.diptych_events v "
            "WHERE v.tenant = wanted.tenant AND v.stream = wanted.stream "
            "AND v.version > wanted.version AND v.version <= wanted.version + $4::bigint) e) p "
            "ORDER BY wanted.n"
        )
        self.select_state = (
            "SELECT h.position, h.writes, array(SELECT (SELECT max(e.version) "
            f"FROM {s}.diptych_events e WHERE e.tenant = u.tenant AND e.stream = u.stream) "
            "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (tenant, stream, n) "
            f"ORDER BY u.n) FROM {s}.diptych_head h"
        )
        """Head, writes and the versions of streams."""
        self.select_outcomes = (
            "SELECT o.tenant, o.id, fingerprint, position, stream, version, count, refusal "
            f"FROM {s}.diptych_outcomes o JOIN unnest($1::text[], $2::text[]) AS u (tenant, id) "
            "ON o.tenant = u.tenant AND o.id = u.id"
        )
        self.select_causations = (
            "SELECT e.tenant, e.stream, e.version, e.causation "
            f"FROM {s}.diptych_events e "
            "JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS u (tenant, stream, version) "
            "ON e.tenant = u.tenant AND e.stream = u.stream AND e.version = u.version"
        )
        self.select_single_tags = (
            f"SELECT w.place, {_EVENT} FROM (SELECT DISTINCT u.place, t.position "
            "FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[]) "
            f"AS u (place, tenant, tag, after) JOIN {s}.diptych_tags t "
            "ON t.tenant = u.tenant AND t.tag = u.tag AND t.position > u.after) w "
            f"JOIN {s}.diptych_events e ON e.position = w.position ORDER BY e.position"
        )
        """The events under single tags, each with the place of the request that wanted it."""
        self.select_single_causes = (
            "SELECT u.place, e.causation, e.name "
            "FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[]) "
            f"AS u (place, tenant, tag, after) JOIN {s}.diptych_tags t "
            "ON t.tenant = u.tenant AND t.tag = u.tag AND t.position > u.after "
            f"JOIN {s}.diptych_events e ON e.position = t.position"
        )
        """The commands behind such events."""
        self.select_checkpoints = (
            f"SELECT name, position FROM {s}.diptych_checkpoints WHERE name = ANY ($1::text[])"
        )
        self.select_snapshot = (
            f"SELECT name, position FROM {s}.diptych_checkpoints "
            f"UNION ALL SELECT '', position FROM {s}.diptych_head"
        )
        """Every checkpoint, and the head under no name."""
        self.begin_checkpoints = (
            f"INSERT INTO {s}.diptych_checkpoints (name, position, target) "
            "SELECT name, 0, $2::bigint FROM unnest($1::text[]) AS n (name) "
            "ON CONFLICT (name) DO NOTHING"
        )
        self.select_begun = f"SELECT name, position, target FROM {s}.diptych_checkpoints"
        self.write = (
            f"SELECT {s}.diptych_write($1::bigint, $2::text, $3::text, $4::text[], $5::text[], "
            "$6::bigint[], $7::text[], $8::integer[], $9::text[], $10::bigint[], $11::text[], "
            "$12::text[], $13::text[], $14::integer[], $15::text[], $16::text[], $17::text[], "
            "$18::bytea[], $19::integer[], $20::text[], $21::bigint[], $22::integer[], "
            "$23::text[], $24::text[], $25::bigint[])"
        )
        self.fence = f"UPDATE {s}.diptych_head SET writes = writes + 1 WHERE id = 1"
        self.select_written = f"SELECT written FROM {s}.diptych_writers WHERE writer = $1::text"
        self.sweep_outcomes = (
            f"DELETE FROM {s}.diptych_outcomes o USING (SELECT tenant, id "
            f"FROM {s}.diptych_outcomes WHERE (tenant, id) > ($1::text, $2::text) "
            "ORDER BY tenant, id LIMIT $3::integer) old "
            "WHERE o.tenant = old.tenant AND o.id = old.id AND o.time < $4::bigint"
        )

    def select_tagged(self, items: tuple[tuple[str, ...], ...]) -> str:
        """The events under tags: tenant, after, names, then the tags of all items."""
        return (
            f"SELECT {_EVENT} FROM {self.schema}.diptych_events e "
            f"WHERE {self._tagged(items)} ORDER BY position"
        )

    def select_causes(self, items: tuple[tuple[str, ...], ...]) -> str:
        """The commands behind them."""
        return f"SELECT e.causation FROM {self.schema}.diptych_events e WHERE {self._tagged(items)}"

    def _tagged(self, items: tuple[tuple[str, ...], ...]) -> str:
        found: list[str] = []
        place = 3
        for item in items:
            place += 1
            first = place
            further = ""
            for _ in item[1:]:
                place += 1
                further += (
                    f" AND EXISTS (SELECT 1 FROM {self.schema}.diptych_tags u "
                    f"WHERE u.tenant = t.tenant AND u.tag = ${place}::text "
                    "AND u.position = t.position)"
                )
            found.append(
                f"SELECT t.position FROM {self.schema}.diptych_tags t WHERE t.tenant = $1::text "
                f"AND t.position > $2::bigint AND t.tag = ${first}::text{further}"
            )
        return f"position IN ({' UNION '.join(found)}) AND name = ANY ($3::text[])"


@lru_cache
def statements(schema: str) -> Statements:
    """The engine's SQL in one schema."""
    return Statements(schema)
