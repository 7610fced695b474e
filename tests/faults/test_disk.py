"""A full disk, a read-only folder, an fsync that fails, SIGKILL: what was acknowledged is there.

Each store is judged by plain sqlite3 and by sending every command again under its own id.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from diptych import Refused
from tests.faults.evidence import LONG, keep
from tests.faults.history import HistoryBroken, check_log, demand_none
from tests.faults.ledger import app, command_of
from tests.faults.processes import ROOT, Told, module, operations, replay_line, told
from tests.faults.tables import read, stored_entries

pytestmark = pytest.mark.faults

LEDGERS = 20
SEED = int(os.environ.get("DIPTYCH_FAULT_SEED", "1"))
KILLS = 20 if LONG else 5


class Broken(Exception):
    """An invariant does not hold; raised, not asserted, so that -O cannot drop it."""


def demand(holds: bool, what: str, replay: str) -> None:
    if not holds:
        raise Broken(f"{what}\nreplay: {replay}")


def check_sound(store: Path, history: Sequence[Told], replay: str) -> None:
    """The file is sound, holds what was acknowledged, nothing twice, and no half of a command."""
    demand(read(store, "pragma integrity_check") == [("ok",)], "the file is corrupt", replay)
    entries = stored_entries(store)
    calls = operations(history, LEDGERS)
    demand_none(check_log(calls, [entry.as_entry() for entry in entries]), replay)
    lines: dict[str, int] = {}
    for entry in entries:
        lines[entry.entry] = lines.get(entry.entry, 0) + 1
        demand(entry.version == entry.number, f"{entry.id} was decided on another state", replay)
    for id, count in lines.items():
        whole = command_of(id, LEDGERS).lines
        demand(count == whole, f"{id} left {count} of {whole} events", replay)


async def repeat(store: Path, history: Sequence[Told], replay: str) -> None:
    """Every command again: acknowledged ones answer as before, the others happen now, once."""
    async with app(store, view=True) as ledger_app:
        receipts: dict[str, object] = {}
        for call in history:
            message = command_of(call.id, LEDGERS)
            try:
                receipt = await ledger_app.execute(message, id=call.id)
            except Refused as refused:
                demand(message.lines == 0, f"{call.id} is refused: {refused.code}", replay)
                continue
            same = call.position in (None, receipt.position)
            demand(same, f"{call.id} was at {call.position}, is at {receipt.position}", replay)
            receipts[call.id] = receipt
        for id, first in receipts.items():
            again = await ledger_app.execute(command_of(id, LEDGERS), id=id)
            demand(again == first, f"{id} was answered in two ways", replay)
    entries = stored_entries(store)
    ids = [entry.id for entry in entries]
    demand(len(ids) == len(set(ids)), "a repeated command happened twice", replay)
    expected = {
        f"{call.id}#{line}"
        for call in history
        for line in range(command_of(call.id, LEDGERS).lines)
    }
    demand(set(ids) == expected, f"{len(expected ^ set(ids))} events too many or missing", replay)


def killed_run(store: Path, output: Path, chance: random.Random, turn: int) -> list[Told]:
    """A writer that is killed at a random moment after it has opened the store."""
    with output.open("wb") as out:
        words = ("--ledgers", LEDGERS, "--start", turn * 100_000, "--view")
        writer = module("tests.faults.work", store, "k", *words, out=out)
    deadline = time.monotonic() + 30
    while b"open" not in output.read_bytes() and time.monotonic() < deadline:
        demand(writer.poll() is None, "the writer ended by itself", str(store))
        time.sleep(0.005)
    time.sleep(chance.random() * 0.4)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    return told(output.read_bytes().splitlines())


@pytest.mark.timeout(300)
def test_after_sigkill_every_receipt_holds_and_a_retry_agrees(tmp_path: Path) -> None:
    chance, replay = random.Random(SEED), replay_line("test_disk", SEED)
    store, history = tmp_path / "ledger.db", list[Told]()
    for turn in range(KILLS):
        history += killed_run(store, tmp_path / f"out{turn}", chance, turn)
        check_sound(store, history, replay)
    answered = sum(call.outcome == "ok" for call in history)
    keep("sigkill", kills=KILLS, sent=len(history), answered=answered)
    demand(answered > 20, f"only {answered} commands were answered: no test of anything", replay)
    asyncio.run(repeat(store, history, replay))


@pytest.mark.parametrize(
    ("damage", "caught"),
    [
        ("delete from diptych_events where causation = 'c-14'", "lost"),
        ("delete from diptych_events where causation = 'c-24' and version % 3 = 0", "lost"),
        ("update diptych_events set data = json_set(data, '$.number', 99)", "another state"),
    ],
)
def test_a_store_that_lost_or_changed_something_is_caught(
    tmp_path: Path, damage: str, caught: str
) -> None:
    """The control: damage planted in a file that passes is told by the same checker."""
    store, output = tmp_path / "ledger.db", tmp_path / "out"
    with output.open("wb") as out:
        module("tests.faults.work", store, "c", "--count", 40, out=out).communicate()
    history = told(output.read_bytes().splitlines())
    check_sound(store, history, "control")
    connection = sqlite3.connect(store)
    connection.execute(damage)
    connection.commit()
    connection.close()
    with pytest.raises((Broken, HistoryBroken), match=caught):
        check_sound(store, history, "control")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB in memory; mounting one takes root."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("SKIPPED LOUDLY: a small file system can only be mounted by root")
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"SKIPPED LOUDLY: mount is refused here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def write_until_fault(store: Path, output: Path, *before: str) -> list[Told]:
    with output.open("wb") as out:
        words = ("--ledgers", LEDGERS, "--seconds", 20, "--at-fault", "stop", "--view")
        writer = module("tests.faults.work", store, "d", *words, out=out, before=before)
    try:
        _, errors = writer.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        writer.kill()
        _, errors = writer.communicate()
    if not told(output.read_bytes().splitlines()):
        raise Broken(f"the writer did nothing: {errors.decode()[-600:]}")
    return told(output.read_bytes().splitlines())


@pytest.mark.timeout(180)
def test_a_full_disk_is_a_named_error_and_nothing_is_half_written(
    small_disk: Path, tmp_path: Path
) -> None:
    replay, store = replay_line("test_disk", "none"), small_disk / "ledger.db"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    history = write_until_fault(store, tmp_path / "out")
    faults = {call.fault for call in history if call.fault}
    demand(bool(faults), "3 MiB never became full", replay)
    demand(faults <= {"StoreFull"}, f"a full disk is told as {sorted(map(str, faults))}", replay)
    message = next(call.message for call in history if call.fault)
    demand("disk" in message or "space" in message, f"no remedy in: {message}", replay)
    ballast.unlink()
    certain = [certainly_not(call) for call in history]
    check_sound(store, certain, replay)
    asyncio.run(repeat(store, history, replay))


def certainly_not(call: Told) -> Told:
    """StoreFull says that it did not happen; it may not be there before it is sent again."""
    if call.fault != "StoreFull":
        return call
    return Told(call.id, call.called, call.returned, refused="StoreFull")


@pytest.mark.timeout(180)
def test_a_full_disk_leaves_the_app_alive(small_disk: Path) -> None:
    """In the same process: after space is freed, the next command works without a restart."""
    store, ballast = small_disk / "ledger.db", small_disk / "ballast"
    replay = replay_line("test_disk", "none")

    async def main() -> None:
        async with app(store, view=True) as ledger_app:
            await ledger_app.execute(command_of("f-0", LEDGERS), id="f-0")
            _fill(ballast)
            number, fault = 1, ""
            while not fault and number < 5_000:
                id = f"f-{number}"
                number += 1
                try:
                    await ledger_app.execute(command_of(id, LEDGERS), id=id)
                except Refused:
                    continue
                except Exception as error:
                    fault = type(error).__name__
            demand(fault == "StoreFull", f"a full disk is told as {fault!r}", replay)
            os.unlink(ballast)
            receipt = await ledger_app.execute(command_of("f-90000", LEDGERS), id="f-90000")
            demand(receipt.position > 0, "the app did not recover", replay)
            await ledger_app.settled(timeout=10)

    asyncio.run(main())


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


_AS_NOBODY = """
import asyncio, os, sys, tempfile
from pathlib import Path
from tests.faults.ledger import app
async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with app(Path(folder) / "all.modules.are.loaded", view=True):
            pass
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        async with app(Path(sys.argv[1])):
            print("opened")
    except Exception as fault:
        print(type(fault).__name__, fault)
asyncio.run(main())
"""


def test_a_read_only_folder_is_a_named_error(tmp_path: Path) -> None:
    """Root writes anywhere, so the process becomes nobody once its modules are loaded."""
    replay = replay_line("test_disk", "none")
    folder = tmp_path / "locked"
    folder.mkdir()
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o555)
    try:
        done = _python(_AS_NOBODY, folder / "ledger.db")
        demand("StoreUnavailable" in done, f"a read-only folder is told as: {done}", replay)
        demand(list(folder.iterdir()) == [], "something was left in the folder", replay)
    finally:
        folder.chmod(0o755)


def test_a_read_only_file_is_a_named_error(tmp_path: Path) -> None:
    replay, store = replay_line("test_disk", "none"), tmp_path / "ledger.db"
    module("tests.faults.work", store, "first", "--count", 1).communicate()
    store.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        done = _python(_AS_NOBODY, store)
        demand("StoreUnavailable" in done, f"a read-only file is told as: {done}", replay)
    finally:
        tmp_path.chmod(0o755)


def _python(program: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return (done.stdout + done.stderr).strip()


def strace_or_skip() -> str:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("SKIPPED LOUDLY: strace is not installed (apt-get install strace)")
    probe = subprocess.run([strace, "-qq", "-e", "trace=none", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("SKIPPED LOUDLY: strace may not trace here")
    return strace


@pytest.mark.timeout(180)
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_io_error_loses_nothing_that_was_acknowledged(tmp_path: Path, call: str) -> None:
    """A sync or a write fails with EIO in the middle of the run; the process goes on."""
    strace = strace_or_skip()
    chance, replay = random.Random(SEED), replay_line("test_disk", SEED)
    store = tmp_path / "ledger.db"
    module("tests.faults.work", store, "first", "--count", 0).communicate()
    history: list[Told] = []
    for turn in range(3):
        when = f"{chance.randrange(20, 120)}"
        output = tmp_path / f"out{turn}"
        inject = f"inject={call}:error=EIO:when={when}"
        before = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
        with output.open("wb") as out:
            words = ("--ledgers", LEDGERS, "--start", turn * 100_000, "--count", 600, "--view")
            writer = module("tests.faults.work", store, "e", *words, out=out, before=before)
        _, errors = writer.communicate(timeout=120)
        said = told(output.read_bytes().splitlines())
        demand(bool(said), f"the writer did nothing: {errors.decode()[-500:]}", replay)
        history += said
        check_sound(store, history, replay)
    faults = {call.fault for call in history if call.fault}
    demand(
        faults <= {"StoreFault", "StoreUnavailable", "CommitUnknown", "StoreFull"},
        f"an I/O error is told as {sorted(map(str, faults))}",
        replay,
    )
    asyncio.run(repeat(store, history, replay))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("when", [12, 13, 14])
def test_a_sync_that_fails_at_commit_is_not_told_as_nothing_happened(
    tmp_path: Path, when: int
) -> None:
    """The frames of the failed commit lie in the log's file: a restart may find them whole.

    So until it is looked up, its outcome is unknown. Whoever is told "nothing was written" sends
    it again under another id, and has it twice.
    """
    strace, replay = strace_or_skip(), replay_line("test_disk", f"when={when}")
    store, output = tmp_path / "ledger.db", tmp_path / "out"
    module("tests.faults.work", store, "first", "--count", 0).communicate()
    inject = f"inject=fdatasync:error=EIO:when={when}"
    before = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject]
    with output.open("wb") as out:
        words = ("--ledgers", LEDGERS, "--callers", 1, "--count", 60, "--at-fault", "hang")
        writer = module("tests.faults.work", store, "h", *words, out=out, before=before)
    deadline = time.monotonic() + 60
    while b"fault" not in output.read_bytes() and time.monotonic() < deadline:
        if writer.poll() is not None:
            break
        time.sleep(0.01)
    lines = output.read_bytes().splitlines()
    pid = next(json.loads(line)["pid"] for line in lines if b"pid" in line)
    if writer.poll() is None:
        os.kill(pid, signal.SIGKILL)
    writer.communicate()
    history = told(lines)
    failed = [call for call in history if call.fault]
    if not failed:
        pytest.skip("SKIPPED LOUDLY: the failed sync met no commit (the adapter went on from it)")
    check_sound(store, history, replay)
    there = {entry.entry for entry in stored_entries(store)}
    for call in failed:
        demand(
            call.id not in there or call.fault == "CommitUnknown",
            f"{call.id} is told as {call.fault}: {call.message!r}, and is there after a restart",
            replay,
        )
    asyncio.run(repeat(store, history, replay))
