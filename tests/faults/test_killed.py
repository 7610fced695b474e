"""SIGKILL between any two statements, at system calls, and at random: whole, or nothing.

Handlers, refusals, plain commands and joins, an inline view and an asynchronous one. After each
kill the file is judged by depot_check.py, everything that was answered is there, and each command
that is sent again gives its first outcome, or happens now, once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from diptych import App, Refused
from tests.faults.depot import Remark, TakeOne, depot, prepare
from tests.faults.depot_check import check_depot
from tests.faults.evidence import LONG, keep
from tests.faults.history import HistoryBroken, demand_none
from tests.faults.processes import Told, module, replay_line, told

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900 if LONG else 200)]

SEED = int(os.environ.get("DIPTYCH_FAULT_SEED", "1"))
KILLS = 30 if LONG else 4
EVERY_CALL = 1 if LONG else 12
EVERY_STATEMENT = 1 if LONG else 5


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with shelves, whole without its WAL."""
    file = tmp_path_factory.mktemp("template") / "depot.db"
    asyncio.run(prepare(file))
    return file


def judge(file: Path, calls: Sequence[Told], replay: str) -> None:
    demand_none(check_depot(file, calls, settled=False), replay)


async def _again(app: App, call: Told) -> int | str:
    """Position, or the code of the refusal."""
    note, sku = call.id, "tea" if call.id.startswith("s-") else _sku(call.id)
    message: TakeOne | Remark
    if call.kind == "plain":
        message = Remark("s", sku, note, lines=2)
        if not note.startswith("s-"):
            message = Remark(note.split("-")[0], sku, note, 1 + len(note) % 2)
    else:
        refused = call.kind == "refusal" or (not note.startswith("s-") and note.endswith("9"))
        message = TakeOne(sku, note, refused)
    try:
        return (await app.execute(message, id=note)).position
    except Refused as no:
        return no.code


def _sku(note: str) -> str:
    return ("tea", "rice")[int(note.rpartition("-")[2]) % 2]


async def send_again(file: Path, calls: Sequence[Told], replay: str) -> None:
    """Each command that has an id, twice."""
    known: dict[str, Told] = {}
    async with depot(file) as app:
        for call in calls:
            if call.kind == "join":
                continue
            outcomes = [await _again(app, call) for _ in range(2)]
            first = call.position or call.refused
            if len(set(outcomes)) > 1 or first not in (None, outcomes[0]):
                raise HistoryBroken(f"{call.id}: {first}, then {outcomes}\nreplay: {replay}")
            position = outcomes[0] if isinstance(outcomes[0], int) else None
            refused = None if position else str(outcomes[0])
            known[call.id] = Told(call.id, 0.0, 0.0, position=position, refused=refused)
        await app.settled()
    demand_none(check_depot(file, list(known.values())), replay)


def die_everywhere(template: Path, folder: Path, *words: object) -> int:
    """Runs the script again and again; the number of the first statement at which none died."""
    given = (template, "--die-everywhere", folder, *words)
    script = module("tests.faults.depot_script", *given, out=subprocess.PIPE)
    said, errors = script.communicate(timeout=600)
    if script.returncode or b"last" not in said:
        raise RuntimeError(f"the script ended with {script.returncode}: {errors.decode()}")
    end = json.loads(said.splitlines()[-1])
    if end["exit"] or end["last"] < 60:
        raise RuntimeError(f"{end}: {errors.decode()}")
    return int(end["last"])


def test_killed_before_any_statement(template: Path, tmp_path: Path) -> None:
    """Of the engine's connections and of the user's own; every one when soaking."""
    last = die_everywhere(template, tmp_path, "--every", EVERY_STATEMENT)
    answered = 0
    for at in range(EVERY_STATEMENT, last + 1, EVERY_STATEMENT):
        replay = f"{replay_line('test_killed', 'none')} (killed before statement {at})"
        file, said = tmp_path / f"{at}.db", told((tmp_path / f"{at}.out").read_bytes().splitlines())
        judge(file, said, replay)
        asyncio.run(send_again(file, said, replay))
        answered += sum(call.returned is not None for call in said)
    keep("killed-at-statements", kills=last // EVERY_STATEMENT - 1, answered=answered)


def test_an_engine_that_commits_twice_is_caught(template: Path, tmp_path: Path) -> None:
    """The control: rows and events in two transactions, and a kill between them."""
    last = die_everywhere(
        template, tmp_path, "--every", 4, "--kind", "handler", "--bug", "two commits"
    )
    found = {
        finding.kind
        for at in range(4, last, 4)
        for finding in check_depot(tmp_path / f"{at}.db", settled=False)
    }
    assert found >= {"row without event", "lost update"}


@pytest.mark.parametrize("kind", ["handler", "refusal", "plain", "join"])
def test_killed_at_a_system_call(template: Path, tmp_path: Path, kind: str) -> None:
    """Within a COMMIT, too: before any write to a file, sync or change of its length."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("SKIPPED LOUDLY: no process is killed at a system call without strace")
    calls_of = "pwrite64,fdatasync,fsync,ftruncate"
    at, killed, points = 0, True, 0
    while killed:
        at += EVERY_CALL
        replay = f"{replay_line('test_killed', 'none')} (killed at call {at} of {calls_of})"
        file = Path(shutil.copy(template, tmp_path / f"{at}.db"))
        output = tmp_path / f"{at}.out"
        inject = f"inject={calls_of}:signal=KILL:when={at}"
        before = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls_of}", "-e", inject]
        with output.open("wb") as out:
            words = (file, "--kind", kind)
            script = module("tests.faults.depot_script", *words, out=out, before=before)
        _, errors = script.communicate(timeout=60)
        killed = b"closed" not in output.read_bytes()
        if killed and script.returncode != -signal.SIGKILL:
            raise RuntimeError(f"it ended with {script.returncode}: {errors.decode()}")
        points += killed
        said = told(output.read_bytes().splitlines())
        judge(file, said, replay)
        asyncio.run(send_again(file, said, replay))
    if points < 2:
        raise RuntimeError(f"killed at {points} calls only: no test of anything")
    keep(f"killed-at-calls-{kind}", kills=points, every=EVERY_CALL)


def killed_run(file: Path, output: Path, chance: random.Random, turn: int) -> list[Told]:
    """Several callers of each kind, killed at a random moment after the store is open."""
    with output.open("wb") as out:
        words = ("--handlers", 3, "--joins", 2, "--plain", 3, "--refusals")
        given = (file, f"k{turn}", *words, "--start", turn * 100_000)
        worker = module("tests.faults.depot_work", *given, out=out)
    deadline = time.monotonic() + 60
    while b"open" not in output.read_bytes() and time.monotonic() < deadline:
        if worker.poll() is not None:
            raise RuntimeError(f"it ended by itself: {worker.communicate()[1].decode()}")
        time.sleep(0.005)
    time.sleep(chance.random() * 0.5)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    return told(output.read_bytes().splitlines())


def test_killed_at_random(template: Path, tmp_path: Path) -> None:
    chance, replay = random.Random(SEED), replay_line("test_killed", SEED)
    file, calls = Path(shutil.copy(template, tmp_path / "depot.db")), list[Told]()
    for turn in range(KILLS):
        calls += killed_run(file, tmp_path / f"out{turn}", chance, turn)
        judge(file, calls, replay)
    answered = sum(call.returned is not None for call in calls)
    if answered < 20:
        raise RuntimeError(f"only {answered} calls were answered: no test of anything")
    asyncio.run(send_again(file, calls, replay))
    keep("killed-handlers", kills=KILLS, sent=len(calls), answered=answered)
