"""The tables of a store. `format` is raised whenever they change."""

FORMAT = 1

TABLES = """
CREATE TABLE IF NOT EXISTS diptych_store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    context TEXT NOT NULL,
    epoch TEXT NOT NULL,
    fences INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS diptych_names (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    schema INTEGER NOT NULL,
    shape TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- position is given by the writer under the write lock: ascending in commit order, never reused.
-- causation is the command; correlation is left out where it is the same.
CREATE TABLE IF NOT EXISTS diptych_events (
    position INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    schema INTEGER NOT NULL,
    data TEXT NOT NULL,
    time INTEGER NOT NULL,
    causation TEXT NOT NULL,
    correlation TEXT,
    principal TEXT NOT NULL,
    metadata BLOB,
    UNIQUE (tenant, stream, version)
) STRICT;

CREATE TABLE IF NOT EXISTS diptych_tags (
    tenant TEXT NOT NULL,
    tag TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tenant, tag, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS diptych_outcomes (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    position INTEGER NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    count INTEGER NOT NULL,
    refusal TEXT,
    time INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- target is the head of the log when the view was new: before it is there, it shows half.
CREATE TABLE IF NOT EXISTS diptych_checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    target INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- who has the store open, as they say themselves; views is JSON. Nothing but status reads it.
CREATE TABLE IF NOT EXISTS diptych_processes (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    space TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    left INTEGER,
    views TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- views that stand still for a while, because somebody wants it so.
CREATE TABLE IF NOT EXISTS diptych_pauses (
    view TEXT PRIMARY KEY,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

ADDED = {
    ("diptych_checkpoints", "target"): (
        "ALTER TABLE diptych_checkpoints ADD COLUMN target INTEGER NOT NULL DEFAULT 0"
    )
}
"""Columns that files of the same format may lack."""

_EVENT = (
    "position, tenant, stream, version, name, schema, data, time, causation, "
    "coalesce(correlation, causation), principal"
)

# The columns of what a group writes, for `insert_many`.
_EVENT_COLUMNS = (
    "position, tenant, stream, version, name, schema, data, time, causation, correlation, principal"
)
EVENTS = f"diptych_events ({_EVENT_COLUMNS})", 11
TAGS = "diptych_tags (tenant, tag, position)", 3
OUTCOMES = (
    "diptych_outcomes (tenant, id, fingerprint, position, stream, version, count, refusal, time)",
    9,
)
SELECT_OUTCOME = (
    "SELECT id, fingerprint, position, stream, version, count, refusal FROM diptych_outcomes "
    "WHERE tenant = ? AND id = ?"
)
SELECT_OUTCOMES = (
    "SELECT tenant, id, fingerprint, position, stream, version, count, refusal "
    "FROM diptych_outcomes WHERE (tenant, id) IN "
    "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
)
SELECT_VERSIONS = (
    "SELECT json_group_array((SELECT max(version) FROM diptych_events WHERE "
    "tenant = json_extract(value, '$[0]') AND stream = json_extract(value, '$[1]'))) "
    "FROM json_each(?)"
)
SELECT_CAUSATION = (
    "SELECT causation FROM diptych_events WHERE tenant = ? AND stream = ? AND version = ?"
)


def events(where: str, order: str) -> str:
    """Events as one value, a JSON array of arrays; ends with the limit.

    For every row that SQLite steps to, Python lets go of its lock and takes it again, which takes
    milliseconds while the loop is busy. One value is one step.
    """
    return (
        f"SELECT json_group_array(json_array({_EVENT})) FROM (SELECT * FROM diptych_events "
        f"WHERE {where} ORDER BY {order} LIMIT ?)"
    )


SELECT_ALL = events("position > ?", "position")
SELECT_STREAM = events("tenant = ? AND stream = ? AND version > ? AND position > ?", "version")
SELECT_PAGES = (
    "SELECT '[' || group_concat((SELECT '[' || coalesce(max(schema), 1) || ',' "
    "|| json_group_array(name) || ',[' || coalesce(group_concat(data, ','), '') || ']]' "
    "FROM diptych_events INDEXED BY sqlite_autoindex_diptych_events_1 "
    "WHERE tenant = json_extract(wanted.value, '$[0]') "
    "AND stream = json_extract(wanted.value, '$[1]') "
    "AND version > json_extract(wanted.value, '$[2]') "
    "AND version <= json_extract(wanted.value, '$[2]') + ?1), ',') || ']' "
    "FROM json_each(?2) wanted"
)
"""A `Page` of each of several streams. The data goes in as the JSON it is: nothing is quoted.

The index gives the versions in their order, and they have no holes: ORDER BY and LIMIT would say
the same for a seventh of the time.
"""

SELECT_TAGGED = (
    "SELECT json_group_array(json_array(place, "
    f"json_array({_EVENT}))) FROM (SELECT p.place, e.* FROM ("
    "SELECT DISTINCT json_extract(wanted.value, '$[0]') place, t.position "
    "FROM json_each(?1) wanted "
    "CROSS JOIN diptych_tags t ON t.tenant = json_extract(wanted.value, '$[1]') "
    "AND t.tag = json_extract(wanted.value, '$[2]') "
    "AND t.position > json_extract(wanted.value, '$[3]')) p "
    "CROSS JOIN diptych_events e ON e.position = p.position "
    "ORDER BY p.place, p.position LIMIT -1)"
)
"""The events under single tags, each with the place of the request that wanted it."""

SELECT_CAUSES = (
    "SELECT json_group_array(json_array(json_extract(wanted.value, '$[0]'), e.causation, e.name)) "
    "FROM json_each(?1) wanted "
    "CROSS JOIN diptych_tags t ON t.tenant = json_extract(wanted.value, '$[1]') "
    "AND t.tag = json_extract(wanted.value, '$[2]') "
    "AND t.position > json_extract(wanted.value, '$[3]') "
    "CROSS JOIN diptych_events e ON e.position = t.position"
)
"""The commands behind such events."""

SELECT_HEAD = "SELECT coalesce(max(position), 0) FROM diptych_events"
UPSERT_CHECKPOINT = (
    "INSERT INTO diptych_checkpoints (name, position) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET position = excluded.position"
)
SELECT_CHECKPOINT = "SELECT position FROM diptych_checkpoints WHERE name = ?"
BEGIN_CHECKPOINT = (
    "INSERT INTO diptych_checkpoints (name, position, target) VALUES (?, 0, ?) "
    "ON CONFLICT (name) DO NOTHING"
)
SELECT_BEGUN = "SELECT position, target FROM diptych_checkpoints WHERE name = ?"


def select_named(names: int) -> str:
    """Events after a position, of some names only."""
    marks = ", ".join("?" * names)
    return events(f"position > ? AND position <= ? AND name IN ({marks})", "position")


def tagged(items: tuple[tuple[str, ...], ...], names: int) -> str:
    """Which events are under tags: tenant and position for each item, then its tags; the names."""
    found: list[str] = []
    for item in items:
        further = (
            " AND EXISTS (SELECT 1 FROM diptych_tags u "
            "WHERE u.tenant = t.tenant AND u.tag = ? AND u.position = t.position)"
        )
        found.append(
            "SELECT t.position FROM diptych_tags t WHERE t.tenant = ? AND t.position > ? "
            "AND t.tag = ?" + further * (len(item) - 1)
        )
    marks = ", ".join("?" * names)
    return f"position IN ({' UNION '.join(found)}) AND name IN ({marks})"
