"""A session for reading refuses every way to write; the database itself does, not a convention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy.orm

from diptych.errors import DiptychError, ReadOnly
from diptych.read.port import SqlViewStore
from tests.contract.view_rows import COUNTS, Count, put

TABLE = "view_count_1"

WRITES = [
    f"INSERT INTO {TABLE} VALUES ('z', 1)",
    f"INSERT INTO {TABLE} VALUES ('z', 1) RETURNING number",
    f"REPLACE INTO {TABLE} VALUES ('a', 9)",
    f"UPDATE {TABLE} SET number = 9",
    f"UPDATE {TABLE} SET number = 9 RETURNING number",
    f"DELETE FROM {TABLE}",
    f"WITH new(name, number) AS (SELECT 'z', 1) INSERT INTO {TABLE} SELECT * FROM new",
    f"WITH old(name) AS (SELECT 'a') DELETE FROM {TABLE} WHERE name IN (SELECT name FROM old)",
    f"WITH old(name) AS (SELECT 'a') UPDATE {TABLE} SET number = 9",
    f"WITH gone AS (DELETE FROM {TABLE} RETURNING name) SELECT * FROM gone",
    "UPDATE diptych_checkpoints SET position = 99",
    f"DROP TABLE {TABLE}",
    f"ALTER TABLE {TABLE} ADD COLUMN more INTEGER",
    f"ALTER TABLE {TABLE} RENAME TO elsewhere",
    "CREATE TABLE more (x)",
    "CREATE TEMP TABLE more (x)",
    "CREATE TEMPORARY VIEW more AS SELECT 1",
    f"CREATE TEMP TRIGGER more AFTER INSERT ON {TABLE} BEGIN SELECT 1; END",
    "CREATE TABLE temp.more (x)",
    "CREATE TABLE more AS SELECT 1",
    "CREATE VIEW more AS SELECT 1",
    f"CREATE INDEX more ON {TABLE} (number)",
    f"CREATE TRIGGER more AFTER INSERT ON {TABLE} BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE more USING fts5(x)",
    "PRAGMA query_only = OFF",
    "PRAGMA query_only = 0",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA synchronous = OFF",
    "PRAGMA user_version = 7",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA application_id = 7",
    "PRAGMA optimize",
    "ATTACH 'file:{path}?mode=rw' AS w",
    "ATTACH 'file:{path}?mode=rwc' AS w",
    "ATTACH '{path}' AS w",
    "ATTACH '{other}' AS w",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '{other}'",
    "SAVEPOINT s",
    "RELEASE s",
    "REINDEX",
    "ANALYZE",
]

EXTENSIONS = [
    "SELECT load_extension('{other}')",
    "SELECT load_extension('{other}', 'entry')",
]


class ReadOnlySessions:
    """Also needs the fixture `path`: of the store's file, or of one that must not come to be."""

    BY_HAND = "PRAGMA query_only = OFF"
    """What would end being read-only."""

    async def written(self, path: Path) -> object:
        """All that lies on the disk, but for the shared memory of readers."""
        files = path.parent.iterdir()
        return {file.name: file.read_bytes() for file in files if not file.name.endswith("-shm")}

    @pytest.mark.parametrize("statement", WRITES)
    async def test_a_statement_that_writes_is_refused(
        self, views: SqlViewStore, path: Path, statement: str
    ) -> None:
        await self.refused(views, path, statement)

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize(
        "statement",
        ["BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK", f"SELECT 1; DROP TABLE {TABLE}"],
    )
    async def test_a_statement_that_moves_the_transaction_is_an_error_and_changes_nothing(
        self, views: SqlViewStore, path: Path, statement: str, first: bool
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        before = await self.written(path)
        async with views.session() as session:
            if not first:
                await session.begin()
            with pytest.raises(DiptychError):
                await session.select(sa.text(statement))
        assert await self.written(path) == before
        await self.holds(views)

    async def test_whoever_catches_the_refusal_still_reads_the_same_moment(
        self, views: SqlViewStore
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        async with views.session() as session:
            before = await session.begin()
            for statement in ["COMMIT", "ROLLBACK", f"DELETE FROM {TABLE}"]:
                with pytest.raises(DiptychError):
                    await session.select(sa.text(statement))
            assert await session.begin() == before
            assert await session.get(COUNTS, ("a",)) == Count("a", 1)

    @pytest.mark.parametrize(
        "kind",
        ["insert", "update", "delete", "cte", "select into", "create", "temp", "drop"],
    )
    async def test_a_statement_of_sqlalchemy_that_writes_is_refused(
        self, views: SqlViewStore, path: Path, kind: str
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        table = views.table(COUNTS)
        statements: dict[str, Any] = {
            "insert": sa.insert(table).values(name="z", number=1),
            "update": sa.update(table).values(number=9),
            "delete": sa.delete(table),
            "cte": sa.select(sa.delete(table).returning(table.c.name).cte("gone").c.name),
            "select into": sa.insert(table).from_select(["name", "number"], sa.select(table)),
            "create": sa.schema.CreateTable(
                sa.Table("more", sa.MetaData(), sa.Column("x", sa.Text))
            ),
            "temp": sa.schema.CreateTable(
                sa.Table("more", sa.MetaData(), sa.Column("x", sa.Text), prefixes=["TEMPORARY"])
            ),
            "drop": sa.schema.DropTable(table),
        }
        before = await self.written(path)
        async with views.session() as session:
            with pytest.raises(ReadOnly):
                await session.select(statements[kind])
        assert await self.written(path) == before
        await self.holds(views)

    @pytest.mark.parametrize(
        "how", ["add", "change", "delete", "autoflush", "commit", "bulk", "core", "text", "driver"]
    )
    async def test_an_orm_session_cannot_write(
        self, views: SqlViewStore, path: Path, how: str
    ) -> None:
        class Mapped:
            name: str
            number: int

            def __init__(self, name: str, number: int) -> None:
                self.name, self.number = name, number

        sa.orm.registry().map_imperatively(Mapped, views.table(COUNTS))

        def write(session: sa.orm.Session) -> Any:
            match how:
                case "add":
                    session.add(Mapped("z", 1))
                    session.flush()
                case "change":
                    session.get_one(Mapped, "a").number = 9
                    session.flush()
                case "delete":
                    session.delete(session.get_one(Mapped, "a"))
                    session.flush()
                case "autoflush":
                    session.add(Mapped("z", 1))
                    return session.scalars(sa.select(Mapped)).all()
                case "commit":
                    session.add(Mapped("z", 1))
                    session.commit()
                case "bulk":
                    session.execute(sa.insert(Mapped), [{"name": "z", "number": 1}])
                case "core":
                    session.execute(sa.delete(Mapped))
                case "text":
                    session.execute(sa.text(f"DELETE FROM {TABLE}"))
                case _:
                    session.connection().exec_driver_sql(self.BY_HAND)

        await put(views, COUNTS, Count("a", 1))
        before = await self.written(path)
        async with views.session() as session:
            with pytest.raises(ReadOnly, match=r"Make the change a command and execute it\.$"):
                await session.run(write)
            # The same session still reads, of the same moment.
            assert await session.run(lambda s: s.scalars(sa.select(Mapped.name)).all()) == ["a"]
            assert await session.get(COUNTS, ("a",)) == Count("a", 1)
        assert await self.written(path) == before
        await self.holds(views)

    async def test_after_a_refusal_the_engine_still_writes(self, views: SqlViewStore) -> None:
        async with views.session() as session:
            with pytest.raises(ReadOnly):
                await session.select(sa.text("PRAGMA query_only = ON"))
        await put(views, COUNTS, Count("a", 1))
        await self.holds(views)

    async def refused(self, views: SqlViewStore, path: Path, statement: str) -> None:
        """It is, and nothing has changed."""
        await put(views, COUNTS, Count("a", 1))
        before = await self.written(path)
        sql = statement.format(path=path, other=path.parent / "other.db")
        async with views.session() as session:
            with pytest.raises(ReadOnly, match=r"Make the change a command and execute it\.$"):
                await session.select(sa.text(sql))
        assert await self.written(path) == before
        await self.holds(views)

    async def holds(self, views: SqlViewStore) -> None:
        """The one row is as it was."""
        loaded = await views.load(COUNTS, [("a",), ("z",)])
        assert (loaded.position, loaded.rows) == (1, {("a",): Count("a", 1)})


class ReadOnlyFiles(ReadOnlySessions):
    """What only SQLite could do."""

    @pytest.mark.parametrize("statement", EXTENSIONS)
    async def test_an_extension_is_not_loaded(
        self, views: SqlViewStore, path: Path, statement: str
    ) -> None:
        await self.refused(views, path, statement)
