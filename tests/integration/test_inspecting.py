"""A store is looked at from outside: what is seen is true, and nothing in its directory changes."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diptych.adapters.opening import build_inspection
from diptych.adapters.sqlite.inspecting import SqliteInspection
from diptych.errors import ForeignStore, StoreCorrupt, StoreUnavailable
from diptych.log.inspection import Checkpoint, Inspection, Wanted
from tests.integration.dumps import path_of
from tests.integration.pots import Put, bank

WRITER = """\
import asyncio, sys
from tests.integration.pots import Put, bank

async def main():
    async with bank(sys.argv[1]) as app:
        for number in range(20):
            await app.execute(Put("a", number + 1))
        await app.settled()
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def everything(directory: Path) -> dict[str, str]:
    """Names and content of all files."""
    return {
        path.name: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(directory.iterdir())
    }


async def looked(file: str) -> tuple[int, list[int]]:
    """What every call says of the head, and the positions of the last events."""
    inspection = _of(file)
    standing = await inspection.standing()
    last = await inspection.last(Wanted(), limit=3)
    after = await inspection.after(Wanted(), after=standing.head - 3, limit=10)
    assert last == after
    return standing.head, [event.position for event in last.events]


def _of(file: str) -> Inspection:
    inspection = build_inspection(file)
    assert inspection is not None
    return inspection


def _start(program: str, file: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, file],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@contextmanager
def writer(file: str) -> Iterator[subprocess.Popen[str]]:
    """A process with the store open, its commits in the write-ahead log."""
    process = _start(WRITER, file)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_a_store_at_rest_is_read_without_a_trace(file: str, tmp_path: Path) -> None:
    async with bank(file) as app:
        for _ in range(5):
            await app.execute(Put("a", 1))
    before = everything(tmp_path)
    assert list(before) == ["bank.db", "bank.db-gate"]
    assert await looked(file) == (5, [3, 4, 5])
    assert everything(tmp_path) == before


async def test_a_store_that_another_process_writes_is_read_without_a_trace(
    file: str, tmp_path: Path
) -> None:
    with writer(file) as process:
        process.send_signal(signal.SIGSTOP)  # so that it changes nothing meanwhile
        before = everything(tmp_path)
        assert list(before) == ["bank.db", "bank.db-gate", "bank.db-shm", "bank.db-wal"]
        assert await looked(file) == (20, [18, 19, 20])
        assert everything(tmp_path) == before
        process.send_signal(signal.SIGCONT)


async def test_a_store_whose_process_was_killed_is_read_without_a_trace(
    file: str, tmp_path: Path
) -> None:
    with writer(file) as process:
        process.kill()
        process.wait()
    before = everything(tmp_path)
    assert list(before) == ["bank.db", "bank.db-gate", "bank.db-shm", "bank.db-wal"]
    assert await looked(file) == (20, [18, 19, 20])
    assert everything(tmp_path) == before


async def test_a_copy_without_its_shared_memory_is_told_and_left_as_it_is(
    file: str, tmp_path: Path
) -> None:
    with writer(file) as process:
        process.kill()
        process.wait()
    (tmp_path / "bank.db-shm").unlink()
    before = everything(tmp_path)
    with pytest.raises(StoreUnavailable, match="Start the app once"):
        await looked(file)
    assert everything(tmp_path) == before


COMING_AND_GOING = """\
import asyncio, sys
from tests.integration.pots import Put, bank

async def main():
    for number in range(20):
        async with bank(sys.argv[1]) as app:
            await app.execute(Put("a", 1))

asyncio.run(main())
"""


async def test_what_is_read_while_processes_come_and_go_is_whole(file: str) -> None:
    async with bank(file) as app:
        await app.execute(Put("a", 1))
    inspection = _of(file)
    heads: list[int] = []
    coming = [_start(COMING_AND_GOING, file) for _ in range(2)]
    while any(process.poll() is None for process in coming):
        heads.append((await inspection.standing()).head)
    assert [process.communicate() and process.returncode for process in coming] == [0, 0]
    assert heads == sorted(heads)
    assert (await inspection.standing()).head == 41


@pytest.mark.parametrize(
    ("content", "error"),
    [(None, StoreUnavailable), (b"", StoreUnavailable), (b"no database " * 500, StoreCorrupt)],
)
async def test_a_file_that_is_no_store_is_told_and_left_as_it_is(
    file: str, tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    if content is not None:
        path_of(file).write_bytes(content)
    before = everything(tmp_path)
    with pytest.raises(error):
        await _of(file).standing()
    assert everything(tmp_path) == before


async def test_another_programs_database_is_refused(file: str) -> None:
    connection = sqlite3.connect(path_of(file))
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    with pytest.raises(ForeignStore, match="another program"):
        await _of(file).standing()


async def test_another_format_is_refused(file: str) -> None:
    async with bank(file) as app:
        await app.execute(Put("a", 1))
    connection = sqlite3.connect(path_of(file))
    connection.execute("UPDATE diptych_store SET format = 99")
    connection.commit()
    connection.close()
    with pytest.raises(ForeignStore, match="format 99"):
        await _of(file).standing()


async def test_a_store_from_before_there_were_processes_is_read(file: str) -> None:
    async with bank(file) as app:
        await app.execute(Put("a", 1))
        await app.settled()
    connection = sqlite3.connect(path_of(file))
    connection.execute("DROP TABLE diptych_processes")
    connection.execute("DROP TABLE diptych_pauses")
    connection.execute("ALTER TABLE diptych_checkpoints DROP COLUMN target")
    connection.commit()
    connection.close()
    standing = await _of(file).standing()
    assert (standing.head, standing.processes, standing.pauses) == (1, (), {})
    assert standing.checkpoints == {"total@1": Checkpoint(1, 0)}


async def test_events_are_found_by_stream_and_by_name(file: str) -> None:
    async with bank(file) as app:
        for number in range(12):
            await app.execute(Put("ab"[number % 2], 1))
    inspection = _of(file)

    async def last(limit: int, **wanted: object) -> list[int]:
        batch = await inspection.last(Wanted(**wanted), limit=limit)  # type: ignore[arg-type]
        return [event.position for event in batch.events]

    assert await last(2, stream="pot:a") == [9, 11]
    assert await last(100, stream="pot:b") == [2, 4, 6, 8, 10, 12]
    assert await last(3, stream="pot:b", names=("added",)) == [8, 10, 12]
    assert await last(3, names=("nothing",)) == []
    assert await last(3, stream="pot:b", tenant="other") == []
    some = await inspection.after(Wanted(stream="pot:a"), after=3, limit=2)
    assert ([event.position for event in some.events], some.through) == ([5, 7], 7)
    rest = await inspection.after(Wanted(stream="pot:a"), after=7, limit=9)
    assert ([event.position for event in rest.events], rest.through) == ([9, 11], 12)


async def test_rare_events_are_found_over_many_windows(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.adapters.sqlite.inspecting.WINDOW", 3)
    async with bank(file) as app:
        for _ in range(20):
            await app.execute(Put("a", 1))
    inspection = _of(file)
    wanted = Wanted(names=("added",))
    assert [e.position for e in (await inspection.last(wanted, limit=8)).events] == [*range(13, 21)]
    found = await inspection.after(wanted, after=2, limit=8)
    assert [event.position for event in found.events] == [*range(3, 11)]
    none = await inspection.after(Wanted(names=("rare",)), after=0, limit=8)
    assert (none.events, none.through) == ([], 20)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_told(file: str) -> None:
    path_of(file).touch()
    path_of(file).chmod(0)
    with pytest.raises(StoreUnavailable):
        await SqliteInspection(path_of(file)).standing()
