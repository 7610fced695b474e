"""The store on a file keeps the contract, also when other objects and processes use the file."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diptych.adapters.sqlite.store import SqliteStore
from diptych.errors import ForeignStore, StoreUnavailable
from diptych.log.names import Stamp
from diptych.log.port import Store
from tests.contract.commits import (
    CONTEXT,
    WAITING,
    append,
    everything,
    happened,
)
from tests.contract.sharing import Sharing
from tests.contract.store_contract import StoreContract

ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from diptych.adapters.sqlite.store import SqliteStore
from tests.contract.commits import CONTEXT, append, happened

async def main():
    store = SqliteStore(Path(sys.argv[1]), waiting=10)
    await store.open(CONTEXT, [])
    await happened(store, append("elsewhere", 0))
    await store.close()

asyncio.run(main())
"""


class TestSqliteStore(StoreContract, Sharing):
    @pytest.fixture
    async def store(self, file: Path) -> AsyncIterator[Store]:
        store = SqliteStore(file, waiting=WAITING)
        await store.open(CONTEXT, [])
        yield store
        await store.close()

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "log.db"

    @pytest.fixture
    async def other(self, store: Store, file: Path) -> AsyncIterator[Store]:
        """Another store object on the same file."""
        other = SqliteStore(file, waiting=WAITING)
        await other.open(CONTEXT, [])
        yield other
        await other.close()

    async def test_news_of_another_process_wake(self, store: Store, file: Path) -> None:
        assert isinstance(store, SqliteStore)
        waiting = asyncio.create_task(store.wait_for_news(0))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ELSEWHERE, str(file), cwd=Path(__file__).parents[2]
        )
        assert await process.wait() == 0
        await asyncio.wait_for(waiting, 5)
        assert [e.stream for e in await everything(store)] == ["elsewhere"]

    async def test_every_commit_is_flushed_to_the_disk(self, store: Store) -> None:
        assert isinstance(store, SqliteStore)
        connection = store._opened.writer.connection
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    async def test_another_context_is_refused_and_nothing_is_changed(
        self, store: Store, file: Path
    ) -> None:
        await happened(store, append("s:1", 0))
        await store.close()
        before = file.read_bytes()
        with pytest.raises(ForeignStore, match=r"belongs to context 'contract'.*file of its own"):
            await SqliteStore(file, waiting=1).open("another", [Stamp("event", "x", 1, {})])
        assert file.read_bytes() == before

    async def test_a_store_of_another_format_is_refused(self, store: Store, file: Path) -> None:
        await store.close()
        connection = sqlite3.connect(file)
        connection.execute("UPDATE diptych_store SET format = 99")
        connection.commit()
        connection.close()
        with pytest.raises(ForeignStore, match=r"format 99.*migrate"):
            await SqliteStore(file, waiting=1).open(CONTEXT, [])

    async def test_a_directory_is_no_store(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable):
            await SqliteStore(tmp_path, waiting=1).open(CONTEXT, [])

    async def test_another_program_that_keeps_the_lock_is_named_as_the_cause(
        self, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "diptych.adapters.sqlite.connection.patiently.__kwdefaults__", {"seconds": 0.2}
        )
        stranger = sqlite3.connect(file, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another program holds the write lock"):
            await store.commit(append("s:1", 0))
        stranger.execute("ROLLBACK")
        stranger.close()
        await happened(store, append("s:1", 0))
