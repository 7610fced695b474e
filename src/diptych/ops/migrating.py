"""Bringing the tables of a store to what this version needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from diptych.ops.findings import Exit

if TYPE_CHECKING:
    from diptych.ops.target import Target


class Migration(Struct, frozen=True, kw_only=True):
    """What became of a store.

    Attributes:
        store: Where it is.
        found: The format that it had; 0 where there was none.
        format: The format that this version writes.
        done: The planned one is the answer to --dry-run and --sql.
        sql: What is missing, in one transaction; "" where that is nothing, or where it is a file.
        bare: Whether people want the SQL alone.
    """

    context: str
    store: str
    found: int
    format: int
    done: Literal["nothing to do", "would be migrated", "migrated"]
    sql: str
    bare: bool = False

    @property
    def exit(self) -> Exit:
        """What is as it should be needs no migration."""
        return Exit.OK


async def migrate(
    target: Target, *, store: str | None, sql: bool, since: int | None, dry_run: bool
) -> Migration:
    """Creates the log's tables, those of views and the app's own, where they are missing.

    Args:
        store: Another URL of it, such as that of a user who may create tables.
        sql: Only say what would be done, as SQL.
        since: Do not look at the store, which has this format.

    Raises:
        AppNotFound, WiringError: There is no app to ask about.
        Refused: `since` means nothing without `sql`, or there is no such format.
        StoreFault: It cannot be reached or written, is another context's, or of a newer format.
    """
    from diptych.adapters.opening import plan_migration, refuse_unknown, where
    from diptych.errors import Refused
    from diptych.write.state_stored import StateStored

    app = target.app
    url = store or app.store
    refuse_unknown(url)
    planned = dry_run or sql
    if since is not None and not sql:
        raise Refused("since_without_sql", "a store is looked at before it is changed. Add --sql.")
    wiring = app.wiring
    filled = [one.tables.metadata for one, place in wiring.projections if place is None]
    found, format, script = await plan_migration(
        url,
        app.name,
        shapes=[shape for _, shape, place in wiring.views if place is None],
        metadata=[*filled, *wiring.tables],
        rows=[one.rows.row for one in wiring.models if isinstance(one, StateStored)],
        since=since,
    )
    if since is not None and since > format:
        raise Refused("unknown_format", f"this diptych knows formats up to {format}.")
    if not planned:
        await _open_stores(target, url)
    same = found == format and not script
    return Migration(
        context=app.name,
        store=where(url),
        found=found,
        format=format,
        done="nothing to do" if same else "would be migrated" if planned else "migrated",
        sql=script,
        bare=sql,
    )


async def _open_stores(target: Target, url: str) -> None:
    from diptych.adapters.system import SystemChance, SystemClock, UuidV7
    from diptych.running import Limits, Ports, Running

    ports = Ports(SystemClock(), UuidV7(), SystemChance())
    await Running(target.app.wiring, url, ports=ports, limits=Limits(), provide={}).migrate()
