"""The tables of views and of projections: created where they are missing, and how they stand.

Where nothing is missing nothing is written, so that a user without the right to create tables will
do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from diptych.adapters.news import News
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Connection, Executes, search_path
from diptych.adapters.postgres.preparing import remember, stored_stamps
from diptych.adapters.postgres.schema import Statements
from diptych.adapters.postgres.tables import ViewTable
from diptych.adapters.sql.quoting import quoted
from diptych.adapters.sql.views import Writes
from diptych.log.names import Stamp, compare
from diptych.message import Position
from diptych.read.port import Begun, Shape, TableSet

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection
    from sqlalchemy import Index, Table

T = TypeVar("T")

Stand: TypeAlias = Mapping[str, tuple[Position, Position]]
"""By checkpoint, where it is, and where it will have been filled."""


class Database(Writes, Protocol):
    """What keeps the tables."""

    @property
    def address(self) -> Address: ...
    @property
    def sql(self) -> Statements: ...
    async def look(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What a piece of work that only reads returns; it may be done twice."""
        ...

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs `work` in a transaction that has the store's lock."""
        ...

    async def verify(self, connection: Connection) -> None:
        """Whether a new connection leads to what was opened."""
        ...

    def news_of(self, checkpoint: str, ask: Callable[[], Awaitable[Position]]) -> News:
        """Wakes those who wait for a checkpoint to move, whoever moves it."""
        ...


async def begin_views(
    store: Database, tables: Sequence[ViewTable], head: Position
) -> dict[str, Begun]:
    """Begins views that are new, and looks at how the others stand."""
    sql = store.sql
    names = [table.shape.checkpoint for table in tables]

    async def look(connection: Connection) -> bool:
        missing = await _missing(connection, (table.qualified for table in tables))
        return bool(missing) or not (await stand(connection, sql)).keys() >= set(names)

    async def make(connection: Connection) -> None:
        missing = await _missing(connection, (table.qualified for table in tables))
        for table in tables:
            if table.qualified in missing:
                await connection.execute(table.create())
        await connection.fetch(sql.begin_checkpoints, names, head)

    if await store.look(look):
        await store.transact(make)

    async def begun(connection: Connection) -> dict[str, Begun]:
        found, stamps = await stand(connection, sql), await stored_stamps(connection, sql)
        return {table.shape.checkpoint: _begun(table.shape, found, stamps) for table in tables}

    return await store.look(begun)


async def begin_projections(
    store: Database, projections: Sequence[TableSet], head: Position
) -> dict[str, Begun]:
    """The same for projections.

    Raises:
        SchemaChanged: A table belongs to another projection, or to another version.
    """
    sql, schema = store.sql, store.address.schema
    names = [one.checkpoint for one in projections]
    stamps = [stamp for one in projections for stamp in one.stamps]

    async def look(connection: Connection) -> bool:
        changed = compare(await stored_stamps(connection, sql), stamps, lambda _: False)
        parts = _parts(projections, schema)
        missing = await _missing(connection, parts)
        return bool(changed or missing) or not (await stand(connection, sql)).keys() >= set(names)

    async def make(connection: Connection) -> None:
        from diptych.adapters.postgres.statements import Lent, let_go, sqlalchemy_on

        stored = await stored_stamps(connection, sql)
        await remember(connection, sql, compare(stored, stamps, lambda _: False))
        parts = _parts(projections, schema)
        missing = [parts[name] for name in await _missing(connection, parts)]
        path = search_path(store.address)
        if path:
            await connection.execute(path)
        sqlalchemy = await sqlalchemy_on(Lent(connection), store.address)
        try:
            await sqlalchemy.run_sync(_create, projections, missing)
        finally:
            await let_go(sqlalchemy)
        await connection.fetch(sql.begin_checkpoints, names, head)

    if await store.look(look):
        await store.transact(make)
    found = await store.look(lambda connection: stand(connection, sql))
    return {name: Begun(*found[name]) for name in names}


def _parts(projections: Sequence[TableSet], schema: str) -> dict[str, Table | Index]:
    """Tables and their indexes, by name with schema."""
    found: dict[str, Table | Index] = {}
    for one in projections:
        for table in one.metadata.tables.values():
            within = quoted(table.schema or schema)
            found[f"{within}.{quoted(table.name)}"] = table
            found |= {f"{within}.{quoted(str(i.name))}": i for i in table.indexes if i.name}
    return found


def _create(
    connection: SqlConnection, projections: Sequence[TableSet], missing: Sequence[Table | Index]
) -> None:
    """Creates tables, with the types that they name, and then the indexes of those that exist."""
    from sqlalchemy import Table
    from sqlalchemy.schema import CheckFirst

    new = [part for part in missing if isinstance(part, Table)]
    for one in projections:
        own = [table for table in new if table.metadata is one.metadata]
        if own:
            one.metadata.create_all(connection, tables=own, checkfirst=CheckFirst.TYPES)
    for part in missing:
        if not isinstance(part, Table) and part.table not in new:
            part.create(connection, checkfirst=False)


async def _missing(connection: Executes, names: Iterable[str]) -> list[str]:
    """Those of the tables and indexes that do not exist."""
    rows = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS n (name) WHERE to_regclass(name) IS NULL",
        list(names),
    )
    return [row[0] for row in rows]


async def stand(connection: Executes, sql: Statements) -> Stand:
    """How all checkpoints stand."""
    return {row[0]: (row[1], row[2]) for row in await connection.fetch(sql.select_begun)}


def _begun(shape: Shape, found: Stand, stamps: Sequence[Stamp]) -> Begun:
    position, target = found[shape.checkpoint]
    if position >= target:
        return Begun(position, target)
    return Begun(position, target, _older(shape, found, stamps))


def _older(shape: Shape, found: Stand, stamps: Sequence[Stamp]) -> Shape | None:
    """The newest older version that is filled and has the same fields."""
    versions = [s.schema for s in stamps if s.kind == "view" and s.schema < shape.version]
    for version in sorted(versions, reverse=True):
        older = replace(shape, version=version)
        position, target = found.get(older.checkpoint, (0, 1))
        if older.stamp in stamps and position >= target:
            return older
    return None
