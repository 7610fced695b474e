"""What a store on PostgreSQL lacks, as SQL: for teams who apply it themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncpg import exceptions as pg
from msgspec import Struct

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import visit
from diptych.adapters.postgres.preparing import look, refuse_another
from diptych.adapters.postgres.reading import SNAPSHOT
from diptych.adapters.postgres.schema import migration, statements
from diptych.adapters.postgres.tables import ViewTable
from diptych.adapters.sql.quoting import quoted
from diptych.errors import StoreUnavailable
from diptych.read.port import Shape

if TYPE_CHECKING:
    from sqlalchemy import Table


class Lacking(Struct, frozen=True):
    """What is not there.

    Attributes:
        found: The format of the log's tables; 0 where there are none, or no database yet.
        tables: Which of the app's own are missing, with their schema.
    """

    found: int
    tables: frozenset[str]


async def look_for(address: Address, context: str, tables: Iterable[str]) -> Lacking:
    """Looks which tables are missing.

    Raises:
        ForeignStore: It is another context's, or of a newer format.
        StoreFault: It cannot be read.
    """
    try:
        async with visit(address, SNAPSHOT) as connection:
            owner = await look(connection, statements(address.schema))
            missing = await connection.fetch(
                "SELECT name FROM unnest($1::text[]) AS n (name) WHERE to_regclass(name) IS NULL",
                list(tables),
            )
    except StoreUnavailable as error:
        if isinstance(error.__cause__, pg.InvalidCatalogNameError):
            return Lacking(0, frozenset(tables))
        raise
    refuse_another(owner, address, context)
    return Lacking(0 if owner is None else owner[0], frozenset(row[0] for row in missing))


class OwnTables:
    """The tables of an app: of its views, and those that SQLAlchemy describes.

    Args:
        metadata: SQLAlchemy's, of projections and of the users' own tables.
        rows: Mapped classes whose rows keep states.
    """

    def __init__(
        self, schema: str, shapes: Sequence[Shape], metadata: Sequence[Any], rows: Sequence[type]
    ) -> None:
        self._views = {
            table.qualified: table.create()
            for table in (ViewTable(shape, schema) for shape in shapes)
        }
        described = [table for one in metadata for table in one.sorted_tables]
        if rows:
            from diptych.adapters.postgres.mapping import row_dialect
            from diptych.adapters.sql.mapped import MappedRow

            dialect = row_dialect()
            described += [table for row in rows for table in MappedRow(row, dialect).tables]
        self._described: Mapping[str, Table] = {
            f"{quoted(table.schema or schema)}.{quoted(table.name)}": table for table in described
        }

    @property
    def names(self) -> list[str]:
        """All of them, with their schema."""
        return [*self._views, *self._described]

    def creating(self, missing: frozenset[str]) -> list[str]:
        """The statements that create some of them, with their indexes and types."""
        found = [sql for name, sql in self._views.items() if name in missing]
        tables = [table for name, table in self._described.items() if name in missing]
        if tables:
            from sqlalchemy import create_mock_engine

            def take(statement: Any, *_: Any) -> None:
                found.append(str(statement.compile(dialect=engine.dialect)).strip())

            engine = create_mock_engine("postgresql+asyncpg://", take)
            for one in {id(table.metadata): table.metadata for table in tables}.values():
                only = [table for table in tables if table.metadata is one]
                one.create_all(engine, tables=only, checkfirst=False)
        return found


def script(address: Address, found: int, own: Sequence[str]) -> str:
    """A whole transaction that brings the tables from a format to today's; "" where they are.

    It may be applied while apps run, and fails where somebody else has applied it before.

    Args:
        own: Further statements.
    """
    steps = migration(address.schema, address.lock, found)
    if not steps and not own:
        return ""
    lock = f"SELECT pg_advisory_xact_lock({address.lock[0]}, {address.lock[1]});"
    path = [f"SET LOCAL search_path TO {address.schema};"] if own else []
    parts = ["BEGIN;", lock, *_refuse_other(address, found), *([steps.strip()] if steps else [])]
    return "\n\n".join([*parts, *path, *(f"{one};" for one in own), "COMMIT;\n"])


def _refuse_other(address: Address, found: int) -> list[str]:
    if not found:
        return []  # the tables are there already then
    guard = (
        "DO $$ BEGIN\n"
        f"    IF (SELECT format FROM {address.schema}.diptych_store) <> {found} THEN\n"
        f"        RAISE EXCEPTION 'the store of diptych is not of format {found}';\n"
        "    END IF;\n"
        "END $$;"
    )
    return [guard]
