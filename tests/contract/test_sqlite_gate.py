"""The gate before the write lock: nobody overtakes whoever stands in it, and nothing hangs on it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from diptych.adapters.sqlite import gate as gates
from diptych.adapters.sqlite.gate import Gate
from diptych.adapters.sqlite.store import SqliteStore
from diptych.log.port import Store
from tests.contract.commits import CONTEXT, WAITING, append, happened

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")


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
def gate(file: Path) -> Iterator[Gate]:
    """Of another process, as far as the store can tell."""
    gate = Gate(file)
    yield gate
    gate.close()


@pytest.fixture
def stranger(file: Path, store: Store) -> Iterator[sqlite3.Connection]:
    """Who writes the file without knowing of the gate."""
    connection = sqlite3.connect(file, isolation_level=None)
    yield connection
    connection.close()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0.002)


async def test_whoever_waits_for_the_lock_stands_in_the_gate(
    store: Store, gate: Gate, stranger: sqlite3.Connection
) -> None:
    stranger.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(happened(store, append("s:1", 0)))
    await turns()
    assert not gate.try_enter()
    stranger.execute("ROLLBACK")
    await waiting
    assert gate.try_enter()


async def test_nobody_passes_whoever_stands_in_the_gate(store: Store, gate: Gate) -> None:
    assert gate.try_enter()
    waiting = [asyncio.ensure_future(happened(store, append(f"s:{n}", 0))) for n in range(3)]
    await turns()
    assert not any(one.done() for one in waiting)
    gate.leave()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("held", [False, True], ids=["the gate only", "and the lock"])
async def test_after_a_while_everybody_passes_whoever_stands_in_the_gate(
    store: Store,
    gate: Gate,
    stranger: sqlite3.Connection,
    held: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is stopped in it keeps the others waiting once, and from nothing."""
    monkeypatch.setattr(gates, "PATIENCE", 0.1)
    assert gate.try_enter()
    if held:
        stranger.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.15, stranger.execute, "ROLLBACK")
    await happened(store, append("s:1", 0))


async def test_a_process_that_is_killed_leaves_the_gate_open(store: Store, file: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from diptych.adapters.sqlite.gate import Gate;"
        "gate = Gate(Path(sys.argv[1])); print(gate.try_enter(), flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(file)]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"True\n"
    waiting = asyncio.ensure_future(happened(store, append("s:1", 0)))
    await turns()
    assert not waiting.done()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await waiting


async def test_where_no_gate_can_be_had_everybody_writes(file: Path) -> None:
    os.mkdir(f"{file}-gate")
    store = SqliteStore(file, waiting=WAITING)
    await store.open(CONTEXT, [])
    await happened(store, append("s:1", 0))
    await store.close()


def test_of_those_who_give_up_one_attempt_is_left(file: Path) -> None:
    gate, other = Gate(file), Gate(file)
    assert other.try_enter()
    gate.given_up = True
    attempts: list[int] = []

    def locked() -> None:
        attempts.append(1)
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    with pytest.raises(sqlite3.OperationalError):
        gate.enter(locked)
    assert len(attempts) == 1
    gate.close()
    other.close()
