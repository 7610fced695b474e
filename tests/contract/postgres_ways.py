"""Ways to write on PostgreSQL, and what is there afterwards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.servers.asking import execute

TABLE = "view_count_1"

PREPARED = """
CREATE SEQUENCE numbers;
CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM view_count_1; RETURN 1; END $$;
CREATE FUNCTION open_up() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN SET transaction_read_only = off; DELETE FROM view_count_1; RETURN 1; END $$;
CREATE FUNCTION lock_it() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN EXECUTE 'SELECT pg_advisory' || '_lock(5)'; RETURN 1; END $$;
CREATE FUNCTION leave() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('search_path', 'nowhere', false);
    PERFORM set_config('statement_timeout', '12345', false);
    RETURN 1; END $$;
CREATE PROCEDURE finish() LANGUAGE plpgsql AS $$ BEGIN COMMIT; DELETE FROM view_count_1; END $$;
"""

WAYS_TO_WRITE = [
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET transaction_read_only = off",
    "SET TRANSACTION READ WRITE",
    "SET LOCAL transaction_read_only = off",
    "SET default_transaction_read_only = off",
    "SET search_path = nowhere",
    "RESET ALL",
    "DISCARD ALL",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT pg_catalog.set_config('transaction_read_only', 'off', true)",
    "SELECT nextval('numbers')",
    "SELECT setval('numbers', 7)",
    "SELECT pg_advisory_lock(1)",
    'SELECT "pg_advisory_lock" (1)',
    "SELECT pg_try_advisory_xact_lock(1, 2)",
    "SELECT pg_advisory_xact_lock_shared(1)",
    f"SELECT * FROM {TABLE} FOR UPDATE",
    f"SELECT * FROM {TABLE} FOR KEY SHARE",
    "SELECT wipe()",
    "SELECT open_up()",
    "CALL finish()",
    "DO $$ BEGIN DELETE FROM view_count_1; END $$",
    f"COPY {TABLE} TO PROGRAM 'touch {{other}}'",
    f"COPY {TABLE} TO '{{other}}'",
    f"COPY {TABLE} TO STDOUT",
    f"COPY {TABLE} FROM '/dev/null'",
    f"COPY (DELETE FROM {TABLE} RETURNING *) TO STDOUT",
    "SELECT 1 AS x INTO more",
    "SELECT 1 AS x INTO TEMP more",
    f"TRUNCATE {TABLE}",
    f"LOCK TABLE {TABLE} IN SHARE MODE",
    f"MERGE INTO {TABLE} t USING (SELECT 'a' AS n) s ON t.name = s.n WHEN MATCHED THEN DELETE",
    f"EXPLAIN ANALYZE DELETE FROM {TABLE}",
    f"GRANT ALL ON {TABLE} TO PUBLIC",
    f"COMMENT ON TABLE {TABLE} IS 'x'",
    f"DROP TABLE {TABLE} CASCADE",
    "CREATE SCHEMA more",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION plpgsql",
    "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
    "ALTER SYSTEM SET work_mem = '5MB'",
    "LISTEN more",
    "NOTIFY more",
    "SELECT pg_notify('more', 'x')",
    "PREPARE more AS SELECT 1",
    "DEALLOCATE ALL",
    "DECLARE more CURSOR WITH HOLD FOR SELECT 1",
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "ABORT",
    "END",
    "/* SELECT */ COMMIT",
    "/* /* */ SELECT */ COMMIT",
    "-- SELECT\nCOMMIT",
    "SAVEPOINT more",
    "ROLLBACK TO SAVEPOINT diptych",
    "RELEASE SAVEPOINT diptych",
    "PREPARE TRANSACTION 'more'",
    "CHECKPOINT",
    "VACUUM",
    f"SELECT 1; DELETE FROM {TABLE}",
    f"SELECT 1; COMMIT; DELETE FROM {TABLE}",
    "SELECT lo_create(0)",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_create_restore_point('more')",
    "SELECT pg_logical_emit_message(false, 'more', 'x')",
]

LEFT = """
SELECT current_setting('transaction_read_only') AS read_only,
    current_setting('search_path') AS search_path,
    current_setting('statement_timeout') AS statement_timeout,
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    (SELECT count(*) FROM pg_listening_channels()) AS channels,
    (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
    (SELECT count(*) FROM pg_class WHERE relname = 'more') AS more
"""

TRACES = """
SELECT 'relation', c.oid::regclass::text, c.relkind::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_(?!temp)|information_)'
UNION ALL SELECT 'lock', objid::text, mode FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL SELECT 'setting', setconfig::text, '' FROM pg_db_role_setting
UNION ALL SELECT 'function', proname, '' FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
UNION ALL SELECT 'prepared', gid, '' FROM pg_prepared_xacts ORDER BY 1, 2, 3
"""


async def everything_in(dsn: str) -> object:
    """What is in a database, and what somebody holds of it."""
    connection = await asyncpg.connect(dsn)
    try:
        traces = [tuple(row) for row in await connection.fetch(TRACES)]
        tables = [name for kind, name, relkind in traces if kind == "relation" and relkind in "rS"]
        rows = {
            name: await connection.fetch(
                f"SELECT (SELECT r FROM (SELECT t.*) r)::text FROM {name} t"
            )
            for name in tables
        }
        return traces, {name: sorted(row[0] for row in found) for name, found in rows.items()}
    finally:
        await connection.close()


async def end_all(dsn: str) -> None:
    """Ends every other connection to the database."""
    await execute(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


@asynccontextmanager
async def limited(dsn: str) -> AsyncIterator[str]:
    """The DSN for a user who may use the tables that are there."""
    name = f"limited_{secrets.token_hex(4)}"
    await execute(
        dsn,
        f"CREATE ROLE {name} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA public TO {name}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
    )
    try:
        parts = urlsplit(dsn)
        place = parts.netloc.rpartition("@")[2]
        yield urlunsplit(parts._replace(netloc=f"{name}:secret@{place}"))
    finally:
        await execute(dsn, f"DROP OWNED BY {name}; DROP ROLE {name}")
