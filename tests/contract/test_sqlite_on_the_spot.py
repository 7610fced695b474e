"""A commit that comes alone may be written without a thread: the same contract, and when it may."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diptych.adapters.sqlite import writer
from diptych.adapters.sqlite.gate import Gate
from diptych.adapters.sqlite.store import SqliteStore
from diptych.log.port import Store
from tests.contract.commits import CONTEXT, WAITING, append, everything, happened
from tests.contract.store_contract import StoreContract


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    store = SqliteStore(file, waiting=WAITING)
    await store.open(CONTEXT, [])
    yield store
    await store.close()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where each COMMIT ran."""
    names: list[str] = []
    commit = writer.Writer._commit

    def noted(self: writer.Writer) -> None:
        names.append(threading.current_thread().name)
        commit(self)

    monkeypatch.setattr(writer.Writer, "_commit", noted)
    return names


@pytest.fixture
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PROMPT", 60.0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, fast_disk: None) -> None:
    """From the first commit on."""
    monkeypatch.setattr(writer, "PROMPT_IN_A_ROW", 0)


@pytest.mark.usefixtures("at_once")
class TestSqliteStoreOnTheSpot(StoreContract):
    @pytest.fixture
    def store(self, store: Store) -> Store:
        return store


def _here() -> str:
    return threading.current_thread().name


@pytest.mark.usefixtures("fast_disk")
async def test_after_prompt_commits_one_that_comes_alone_needs_no_thread(
    store: Store, threads: list[str]
) -> None:
    for version in range(writer.PROMPT_IN_A_ROW + 10):
        await happened(store, append("s:1", version))
    assert threads[: writer.PROMPT_IN_A_ROW] == ["diptych-writer"] * writer.PROMPT_IN_A_ROW
    assert threads[writer.PROMPT_IN_A_ROW :] == [_here()] * 10


async def test_a_slow_disk_is_never_waited_for_in_the_loop(
    store: Store, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PROMPT", 0.0)
    for version in range(writer.PROMPT_IN_A_ROW + 10):
        await happened(store, append("s:1", version))
    assert set(threads) == {"diptych-writer"}


@pytest.mark.usefixtures("at_once")
async def test_one_slow_commit_sends_the_next_ones_to_the_thread(
    store: Store, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PROMPT_IN_A_ROW", 3)
    for version in range(5):
        await happened(store, append("s:1", version))
    monkeypatch.setattr(writer, "PROMPT", 0.0)
    await happened(store, append("s:1", 5))
    monkeypatch.setattr(writer, "PROMPT", 60.0)
    threads.clear()
    for version in range(6, 10):
        await happened(store, append("s:1", version))
    assert threads == ["diptych-writer"] * 3 + [_here()]


@pytest.mark.usefixtures("at_once")
async def test_those_who_come_together_go_through_the_thread(
    store: Store, threads: list[str]
) -> None:
    await asyncio.gather(*(happened(store, append(f"s:{n}", 0)) for n in range(5)))
    assert set(threads) == {"diptych-writer"}


@pytest.mark.usefixtures("at_once")
async def test_the_loop_never_waits_for_the_lock_of_somebody_else(
    store: Store, file: Path, threads: list[str]
) -> None:
    await happened(store, append("s:1", 0))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.commit(append("s:1", 1)))
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    await waiting
    assert threads == [_here(), "diptych-writer"]


@pytest.mark.usefixtures("at_once")
async def test_the_loop_never_waits_at_the_gate(
    store: Store, file: Path, threads: list[str]
) -> None:
    await happened(store, append("s:1", 0))
    gate = Gate(file)
    assert gate.try_enter()
    waiting = asyncio.ensure_future(store.commit(append("s:1", 1)))
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not waiting.done()
    gate.close()
    await waiting
    assert threads == [_here(), "diptych-writer"]


@pytest.mark.usefixtures("at_once")
async def test_now_and_then_the_thread_tidies_up(store: Store, threads: list[str]) -> None:
    for version in range(2 * writer.ON_THE_SPOT + 2):
        await happened(store, append("s:1", version))
    assert threads.count("diptych-writer") == 2
    assert threads[writer.ON_THE_SPOT] == "diptych-writer"
    assert len(await everything(store)) == 2 * writer.ON_THE_SPOT + 2
