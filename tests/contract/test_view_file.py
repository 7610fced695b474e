"""Views in a SQLite file of their own keep the contract; the file belongs to one log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from diptych.adapters.sqlite.store import SqliteStore
from diptych.adapters.sqlite.view_file import ViewFile, ViewsInFile
from diptych.errors import ForeignStore, SchemaChanged, StoreUnavailable
from diptych.log.commit import Advance, Appended, Commit
from diptych.read.port import Begun, Origin, Shape, SqlViewStore
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.read_only import ReadOnlyFiles
from tests.contract.view_rows import COUNTS, ORIGIN, Count, put
from tests.contract.view_sessions import ManyMoments
from tests.contract.view_store_contract import ALL_SHAPES, SqlViewStoreContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "views.db"


@pytest.fixture
async def views(path: Path) -> AsyncIterator[ViewsInFile]:
    views = ViewsInFile(path)
    await views.open(ALL_SHAPES, origin=ORIGIN)
    yield views
    await views.close()


class TestViewsInFile(SqlViewStoreContract, ReadOnlyFiles, ManyMoments):
    async def test_what_another_object_saves_is_there(
        self, views: SqlViewStore, path: Path
    ) -> None:
        async with AsyncExitStack() as stack:
            other = ViewsInFile(path)
            await other.open(ALL_SHAPES, origin=ORIGIN)
            stack.push_async_callback(other.close)
            waiting = asyncio.create_task(views.wait(COUNTS, 1))
            await put(other, COUNTS, Count("a", 1))
            await asyncio.wait_for(waiting, 5)
            assert (await views.load(COUNTS, [("a",)])).rows == {("a",): Count("a", 1)}
            assert not await views.save(COUNTS, [], [], expected=0, position=1)


class TestViewsInMemory(SqlViewStoreContract, ReadOnlyFiles, ManyMoments):
    @pytest.fixture
    async def views(self) -> AsyncIterator[ViewsInFile]:
        views = ViewsInFile(None)
        await views.open(ALL_SHAPES, origin=ORIGIN)
        yield views
        await views.close()

    @pytest.fixture
    def path(self, views: ViewsInFile) -> Path:
        return views._own.path


async def test_what_was_taken_is_answered_when_the_file_is_closed(path: Path) -> None:
    file = ViewFile(path)
    await file.open(ORIGIN, [])
    moves = [Commit(advance=(Advance("v@1", n, n + 1),)) for n in range(5)]
    taken = [asyncio.ensure_future(file.commit(move)) for move in moves]
    async with asyncio.timeout(5):
        await file.close()  # in this very turn of the loop
    assert [type(await answer) for answer in taken] == [Appended] * 5


async def opened(path: Path, *shapes: Shape, origin: Origin = ORIGIN) -> dict[str, Begun]:
    """Opens and closes; how the views stood."""
    views = ViewsInFile(path)
    begun = await views.open(shapes or ALL_SHAPES, origin=origin)
    await views.close()
    return dict(begun)


class TestWhoseFileItIs:
    async def test_views_of_another_context_are_refused(self, path: Path) -> None:
        await opened(path)
        with pytest.raises(ForeignStore, match=r"context 'contract'.*Delete it.*fill anew\.$"):
            await opened(path, origin=Origin("another", ORIGIN.epoch, 0))

    async def test_views_of_another_epoch_are_refused(self, path: Path) -> None:
        await opened(path)
        with pytest.raises(ForeignStore, match=r"epoch epoch; .*epoch later.*Delete it"):
            await opened(path, origin=Origin(CONTEXT, "later", 0))

    async def test_the_store_of_an_app_is_no_file_of_views(self, path: Path) -> None:
        store = SqliteStore(path, waiting=WAITING)
        await store.open(CONTEXT, [])
        await store.close()
        with pytest.raises(ForeignStore, match="is the store of context 'contract'"):
            await opened(path)

    async def test_a_file_of_views_is_no_store_of_an_app(self, path: Path) -> None:
        await opened(path)
        with pytest.raises(ForeignStore, match="keeps views of a log that is elsewhere"):
            await SqliteStore(path, waiting=WAITING).open(CONTEXT, [])

    async def test_another_programs_file_is_refused_and_left_alone(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
        connection.close()
        before = path.read_bytes()
        with pytest.raises(ForeignStore, match="another program"):
            await opened(path)
        assert path.read_bytes() == before

    async def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match=r"nowhere is no directory"):
            await opened(tmp_path / "nowhere" / "views.db")


def version(number: int, **fields: str) -> Shape:
    return Shape(view="count", version=number, row=Count, key=("name",), fields=fields)


class TestVersions:
    """The same holds beside a log: `begin_views` is shared."""

    async def fill(self, path: Path, shape: Shape, position: int) -> None:
        views = ViewsInFile(path)
        await views.open([shape], origin=ORIGIN)
        await views.save(shape, [Count("a", shape.version)], [], expected=0, position=position)
        await views.close()

    async def test_the_target_is_the_head_of_the_very_first_start(self, path: Path) -> None:
        for head in (5, 9):
            begun = await opened(path, COUNTS, origin=Origin(CONTEXT, "epoch", head))
            assert begun == {COUNTS.checkpoint: Begun(0, 5)}

    async def test_a_new_version_knows_the_newest_filled_one_of_the_same_fields(
        self, path: Path
    ) -> None:
        later = Origin(CONTEXT, "epoch", 5)
        await self.fill(path, version(1, name="str"), 4)
        await self.fill(path, version(2, name="str"), 4)
        await self.fill(path, version(3, name="str", more="int"), 4)
        await opened(path, version(4, name="str"), origin=later)  # it is not filled
        begun = await opened(path, version(5, name="str"), origin=later)
        assert begun == {"count@5": Begun(0, 5, version(2, name="str"))}
        assert (await opened(path, version(6, other="str"), origin=later))["count@6"].older is None

    async def test_the_older_version_is_read_as_the_newer_one(self, path: Path) -> None:
        await self.fill(path, version(1), 4)
        views = ViewsInFile(path)
        begun = await views.open([version(2)], origin=Origin(CONTEXT, "epoch", 5))
        older = begun["count@2"].older
        assert older is not None
        async with views.session() as session:
            assert await session.get(older, ("a",)) == Count("a", 1)
            assert await session.get(version(2), ("a",)) is None
        assert views.filled_by(views.table(older).name) == "count@1"
        assert await views.checkpoint(older) == 4
        await asyncio.wait_for(views.wait(older, 4), 5)
        await views.close()

    async def test_other_fields_of_the_same_version_are_refused(self, path: Path) -> None:
        await opened(path, version(1, name="str"))
        with pytest.raises(SchemaChanged, match="Give it version=2"):
            await opened(path, version(1, name="str", more="int"))

    async def test_a_file_from_before_targets_is_taken_as_filled(self, path: Path) -> None:
        await opened(path, COUNTS)
        connection = sqlite3.connect(path)
        connection.execute("ALTER TABLE diptych_checkpoints DROP COLUMN target")
        connection.commit()
        connection.close()
        begun = await opened(path, COUNTS, origin=Origin(CONTEXT, "epoch", 9))
        assert begun == {COUNTS.checkpoint: Begun(0, 0)}
