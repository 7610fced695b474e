"""Four writer processes and two tailing readers on one file: nothing lost, doubled, out of order.

The checker reads the tables with plain sqlite3 and knows nothing of diptych. It is shown to catch
wrong writers and readers, and damage planted in a copy of the very file that passed.
DIPTYCH_SOAK=1 runs 10 seconds instead of 4.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.evidence import LONG, keep
from tests.faults.history import Entry, Finding, Operation, check_log, check_reader, demand_none
from tests.faults.processes import Told, module, operations, replay_line, told
from tests.faults.tables import stored_entries, stored_positions

pytestmark = pytest.mark.faults

SECONDS = 10.0 if LONG else 4.0
LEDGERS = 20


def positions(file: Path) -> list[int]:
    """The whole lines of a reader's output."""
    return [int(line) for line in file.read_bytes().split(b"\n")[:-1]]


def end_readers(readers: list[subprocess.Popen[bytes]], outputs: list[Path], last: int) -> None:
    """Ends each reader once it has seen the last position, or after 20 s without that."""
    deadline = time.monotonic() + 20
    for reader, output in zip(readers, outputs, strict=True):
        while time.monotonic() < deadline and reader.poll() is None:
            seen = positions(output)
            if seen and seen[-1] >= last:
                break
            time.sleep(0.05)
        if reader.poll() is not None:
            _, errors = reader.communicate()
            raise RuntimeError(f"a reader ended by itself:\n{errors.decode()}")
        reader.terminate()
        reader.communicate()


def run_together(folder: Path) -> tuple[Path, list[Told], list[list[int]]]:
    """The store's file, what the writers said, and what each reader saw."""
    store = folder / "ledger.db"
    module("tests.faults.work", store, "creates-the-file", "--count", 0).communicate()
    outputs = [folder / f"reader{n}" for n in range(2)]
    histories = [folder / f"writer{n}" for n in range(4)]
    readers: list[subprocess.Popen[bytes]] = []
    writers: list[subprocess.Popen[bytes]] = []
    try:
        for output in outputs:
            with output.open("wb") as out:
                readers.append(module("tests.faults.tail", store, out=out))
        for n, history in enumerate(histories):
            with history.open("wb") as out:
                words = ("--seconds", SECONDS, "--ledgers", LEDGERS)
                writers.append(module("tests.faults.work", store, f"w{n}", *words, out=out))
        for writer in writers:
            _, errors = writer.communicate(timeout=SECONDS + 60)
            if writer.returncode:
                raise RuntimeError(f"a writer ended with {writer.returncode}:\n{errors.decode()}")
        end_readers(readers, outputs, stored_positions(store)[-1])
    finally:
        for process in (*writers, *readers):
            if process.poll() is None:
                process.kill()
                process.communicate()
    said = [call for history in histories for call in told(history.read_bytes().splitlines())]
    return store, said, [positions(output) for output in outputs]


def check_store(store: Path, calls: list[Operation]) -> list[Finding]:
    return check_log(calls, [entry.as_entry() for entry in stored_entries(store)])


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Told], list[list[int]]]:
    return run_together(tmp_path_factory.mktemp("together"))


@pytest.mark.timeout(180)
def test_four_writers_and_two_readers_agree_on_one_log(
    together: tuple[Path, list[Told], list[list[int]]],
) -> None:
    store, said, seen = together
    replay = replay_line("test_many_processes", "none, real processes")
    answered = [call for call in said if call.outcome == "ok"]
    if len(answered) < 200:
        raise RuntimeError(f"only {len(answered)} commands were answered: no test of anything")
    conflicts = sum(call.fault == "StreamConflict" for call in said)
    waits = sorted(call.returned - call.called for call in answered if call.returned is not None)
    keep(
        "many-processes",
        seconds=SECONDS,
        answered=len(answered),
        refused=sum(call.refused is not None for call in said),
        conflicts=conflicts,
        seen_by_readers=[len(reader) for reader in seen],
        p50_ms=round(waits[len(waits) // 2] * 1e3, 1),
        p99_ms=round(waits[len(waits) * 99 // 100] * 1e3, 1),
        longest_ms=round(waits[-1] * 1e3, 1),
    )
    if conflicts > len(said) / 100:
        raise RuntimeError(f"{conflicts} of {len(said)} commands ended in a conflict")
    unknown = [call for call in said if call.outcome == "unknown"]
    faults = {f"{call.fault}: {call.message}" for call in unknown}
    if unknown:
        raise RuntimeError(f"{len(unknown)} commands ended in a fault: {sorted(faults)[:3]}")
    demand_none(check_store(store, operations(said, LEDGERS)), replay)
    stored = stored_positions(store)
    for reader in seen:
        demand_none(check_reader(reader, stored), replay)


@pytest.mark.timeout(180)
def test_every_decision_stood_on_the_state_before_it(
    together: tuple[Path, list[Told], list[list[int]]],
) -> None:
    store, _, _ = together
    wrong = [e.id for e in stored_entries(store) if e.version != e.number]
    if wrong:
        raise RuntimeError(f"{len(wrong)} events were decided on another state, first {wrong[0]}")


def _lose(connection: sqlite3.Connection, table: str, position: int) -> None:
    connection.execute(f"delete from {table} where position = ?", (position,))


def _swap(connection: sqlite3.Connection, table: str, position: int) -> None:
    """An event moves behind everything: readers and real time say that it was earlier."""
    connection.execute(
        f"update {table} set position = (select max(position) + 1 from {table}) where position = ?",
        (position,),
    )


@pytest.mark.timeout(180)
@pytest.mark.parametrize("damage", [_lose, _swap])
def test_damage_planted_in_the_same_file_is_caught(
    together: tuple[Path, list[Told], list[list[int]]],
    tmp_path: Path,
    damage: Callable[[sqlite3.Connection, str, int], None],
) -> None:
    store, said, seen = together
    copy = tmp_path / "copy.db"
    with sqlite3.connect(store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        middle = [e.position for e in stored_entries(copy)][200]
        damage(target, "diptych_events", middle)
    source.close()
    target.close()
    assert check_store(copy, operations(said, LEDGERS)), "the checker missed it in the log"
    assert check_reader(seen[0], stored_positions(copy)), "the checker missed it in a reader"
    assert not check_store(store, operations(said, LEDGERS)), "the original was changed"
    shutil.rmtree(tmp_path, ignore_errors=True)


def naive_run(folder: Path, bug: str) -> tuple[list[Operation], list[Entry], list[int]]:
    file, output = folder / "naive.db", folder / "reader"
    module("tests.faults.naive", "write", file, "creates-the-file", "--seconds", 0).communicate()
    histories = [folder / f"naive{n}" for n in range(4)]
    with output.open("wb") as out:
        reader = module("tests.faults.naive", "tail", file, out=out)
    writers: list[subprocess.Popen[bytes]] = []
    for n, history in enumerate(histories):
        with history.open("wb") as out:
            words = ("write", file, f"n{n}", "--seconds", 1.5, "--bug", bug)
            writers.append(module("tests.faults.naive", *words, out=out))
    for writer in writers:
        writer.communicate()
    time.sleep(0.3)
    reader.kill()
    reader.communicate()
    calls = [
        Operation(call.id, call.called, call.returned, call.outcome, call.stream)
        for history in histories
        for call in told(history.read_bytes().splitlines())
    ]
    connection = sqlite3.connect(file)
    rows = connection.execute(
        "select position, stream, version, id from naive order by position"
    ).fetchall()
    connection.close()
    return calls, [Entry(*row) for row in rows], positions(output)


@pytest.mark.parametrize(
    ("bug", "caught"),
    [
        ("stale version", "version gap"),
        ("answer before commit", "lost"),
        ("blind retry", "duplicate"),
    ],
)
def test_a_naive_writer_is_caught(tmp_path: Path, bug: str, caught: str) -> None:
    calls, entries, _ = naive_run(tmp_path, bug)
    assert caught in {finding.kind for finding in check_log(calls, entries)}


def test_a_reader_that_goes_by_time_is_caught(tmp_path: Path) -> None:
    _, entries, seen = naive_run(tmp_path, "")
    stored = [entry.position for entry in entries]
    last = max(seen)
    findings = check_reader(seen, [position for position in stored if position <= last])
    assert "lost" in {finding.kind for finding in findings}
