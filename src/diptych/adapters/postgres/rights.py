"""What the user in a store's URL may do there, before it turns out in the middle of something."""

from __future__ import annotations

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Executes
from diptych.errors import StoreUnavailable

_MISSING = r"""
SELECT relname, string_agg(kind, ', ' ORDER BY n)
FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS k (kind, n)
WHERE relnamespace = $1::text::regnamespace AND relname LIKE 'diptych\_%' AND relkind = 'r'
    AND NOT has_table_privilege(pg_class.oid, kind)
GROUP BY relname
UNION ALL
SELECT proname, 'EXECUTE' FROM pg_proc
WHERE pronamespace = $1::text::regnamespace AND proname LIKE 'diptych\_%'
    AND NOT has_function_privilege(pg_proc.oid, 'EXECUTE')
ORDER BY 1
"""


async def missing_rights(connection: Executes, schema: str) -> list[str]:
    """The rights that an app needs and this user has not, as `INSERT, UPDATE on diptych_events`."""
    ((is_there, may_look),) = await connection.fetch(
        "SELECT count(*) > 0, coalesce(bool_and(has_schema_privilege(oid, 'USAGE')), false) "
        "FROM pg_namespace WHERE nspname = $1::text",
        schema,
    )
    if not is_there:
        return []
    if not may_look:
        return [f"USAGE on schema {schema}"]
    rows = await connection.fetch(_MISSING, schema)
    return [f"{rights} on {name}" for name, rights in rows]


async def refuse_without_rights(connection: Executes, address: Address) -> None:
    """Whether this user may read and write the tables that are there.

    Raises:
        StoreUnavailable: A right is missing; which.
    """
    missing = await missing_rights(connection, address.schema)
    if missing:
        ((user,),) = await connection.fetch("SELECT current_user::text")
        shown = "; ".join(missing[:3]) + (f"; {len(missing) - 3} more" if missing[3:] else "")
        raise StoreUnavailable(
            f"{address.where}: user {user!r} lacks rights: {shown}. As the owner of the tables: "
            f"{grants(address.schema, user)}."
        )


async def refuse_to_create(connection: Executes, address: Address, found: int, today: int) -> None:
    """Whether this user may create what is missing.

    Raises:
        StoreUnavailable: It may not.
    """
    ((user, may),) = await connection.fetch(
        "SELECT current_user::text, CASE WHEN to_regnamespace($1::text) IS NULL "
        "THEN has_database_privilege(current_database(), 'CREATE') "
        "ELSE has_schema_privilege($1::text, 'CREATE') END",
        address.schema,
    )
    if not may:
        state = (
            f"has store format {found}, this diptych writes {today}" if found else "has no store"
        )
        raise StoreUnavailable(
            f"{address.where} {state}, and user {user!r} may not create tables in schema "
            f"{address.schema}. Run `diptych migrate --store URL` with a user who may."
        )


def grants(schema: str, user: str) -> str:
    """What lets a user run an app on tables that another one owns, as SQL."""
    to = '"' + user.replace('"', '""') + '"'
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {to}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {to}; "
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {to}"
    )
