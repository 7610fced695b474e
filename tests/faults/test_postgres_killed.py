"""The server dies under load, again and again, or its disk refuses a sync; the app stays open.

What was acknowledged is there; every other command is there whole, or not at all, and sent again
with its id it has one outcome. Judged by a session that knows nothing of diptych.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.evidence import LONG, keep
from tests.faults.history import HistoryBroken
from tests.faults.judging import check_entries, demand, send_again
from tests.faults.ledger import LengthOf, app
from tests.faults.load import Load
from tests.faults.postgres_tables import fetch, stored_entries
from tests.faults.processes import Told, module, replay_line, told
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900 if LONG else 120)]

SEED = int(os.environ.get("DIPTYCH_FAULT_SEED", "1"))
LEDGERS = 20
KILLS = 30 if LONG else 3
SYNCS = 20 if LONG else 2
DOWN = 10.0 if LONG else 1.0
END_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'diptych'
"""
PROMISES = {"StoreUnavailable", "CommitUnknown"}


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that keeps what it has acknowledged."""
    with Postgres() as server:
        yield server


def certain(history: Sequence[Told]) -> list[Told]:
    """StoreUnavailable says that it did not happen: it may not be there."""
    return [
        Told(call.id, call.called, call.returned, refused=call.fault)
        if call.fault == "StoreUnavailable"
        else call
        for call in history
    ]


async def judge(dsn: str, load: Load, replay: str) -> None:
    faults = load.faults()
    demand(faults.keys() <= PROMISES, f"a dead server is told as {faults}", replay)
    check_entries(await stored_entries(dsn), certain(load.history), LEDGERS, replay)


async def test_killed_again_and_again_under_load(server: Postgres) -> None:
    """SIGKILL of the postmaster at random moments; it comes back at once."""
    chance, replay = random.Random(SEED), replay_line("test_postgres_killed", SEED)
    dsn, back = server.dsn(), list[float]()
    async with app(dsn) as ledger_app:
        load = Load(ledger_app, "k", callers=12, ledgers=LEDGERS, limit=10**6)
        async with load.running():
            await load.goes_on()
            for _ in range(KILLS):
                await asyncio.sleep(chance.random() * 0.3)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(chance.random() * 0.3)
                await asyncio.to_thread(server.start)
                back.append(await load.goes_on())
        await judge(dsn, load, replay)
        keep(
            "postgres-killed",
            kills=KILLS,
            sent=len(load.calls),
            answered=load.answered,
            faults=load.faults(),
            seconds_until_receipts_again=[round(each, 2) for each in back],
        )
        await send_again(ledger_app, load.history, LEDGERS, lambda: stored_entries(dsn), replay)


async def test_an_app_that_was_open_goes_on_when_the_server_is_back_after_a_while(
    server: Postgres,
) -> None:
    replay = replay_line("test_postgres_killed", "none")
    dsn = server.dsn()
    async with app(dsn, view=True, place="sqlite://") as ledger_app:
        load = Load(ledger_app, "d", callers=8, ledgers=LEDGERS, limit=10**6)
        async with load.running():
            await load.goes_on()
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(DOWN)
            await asyncio.to_thread(server.start)
            back = await load.goes_on()
        await judge(dsn, load, replay)
        await ledger_app.settled(timeout=30)
        shown = [await ledger_app.ask(LengthOf(f"l{n}")) for n in range(LEDGERS)]
        there = Counter(entry.stream for entry in await stored_entries(dsn))
        demand(shown == [there[f"ledger:l{n}"] for n in range(LEDGERS)], "the view", replay)
        keep(
            "postgres-down",
            seconds_down=DOWN,
            sent=len(load.calls),
            answered=load.answered,
            faults=load.faults(),
            seconds_until_receipts_again=round(back, 2),
        )
        await send_again(ledger_app, load.history, LEDGERS, lambda: stored_entries(dsn), replay)


def strace_or_skip() -> str:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("SKIPPED LOUDLY: strace is not installed (apt-get install strace)")
    probe = subprocess.run([strace, "-qq", "-e", "trace=none", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("SKIPPED LOUDLY: strace may not trace here")
    return strace


@contextmanager
def syncs_that_fail(strace: str, postmaster: int, when: int) -> Iterator[None]:
    """Of every process that the postmaster starts within, the n-th sync fails with EIO."""
    inject = f"inject=fdatasync,fsync:error=EIO:when={when}"
    words = [strace, "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", inject]
    with subprocess.Popen([*words, "-p", str(postmaster)], stderr=subprocess.PIPE) as tracer:
        try:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            if b"attached" not in said:
                raise RuntimeError(f"strace does not attach: {said.decode()}")
            yield
        finally:
            tracer.send_signal(signal.SIGINT)  # it lets go of them
            tracer.communicate()


async def test_a_sync_that_fails_loses_nothing_that_was_acknowledged(server: Postgres) -> None:
    """The server panics, and starts again from its log. What it had not acknowledged may be there:
    an app that was told so has looked it up."""
    strace = strace_or_skip()
    chance, replay = random.Random(SEED), replay_line("test_postgres_killed", SEED)
    dsn, panics = server.dsn(), 0
    calls: list[Told] = []
    for turn in range(SYNCS):
        async with app(dsn) as ledger_app:
            load = Load(ledger_app, f"s{turn}", callers=12, ledgers=LEDGERS, limit=10**6)
            async with load.running():
                await load.goes_on()
                with syncs_that_fail(strace, server.pid, chance.randrange(5, 60)):
                    await fetch(dsn, END_ALL)  # those who come now are children of the traced one
                    limit = time.monotonic() + 60
                    while server.log.count("PANIC") == panics and time.monotonic() < limit:
                        await asyncio.sleep(0.02)
                await load.goes_on()
        panicked = server.log.count("PANIC")
        demand(panicked > panics, "no sync has failed: no test of anything", replay)
        panics = panicked
        calls += load.history
        faults = load.faults()
        demand(faults.keys() <= PROMISES, f"a failed sync is told as {faults}", replay)
        check_entries(await stored_entries(dsn), certain(calls), LEDGERS, replay)
    server.kill()
    server.start()
    check_entries(await stored_entries(dsn), certain(calls), LEDGERS, replay)
    keep(
        "postgres-sync-fails",
        turns=SYNCS,
        panics=panics,
        sent=len(calls),
        answered=sum(call.position is not None for call in calls),
        faults=Counter(call.fault for call in calls if call.fault),
    )
    async with app(dsn) as ledger_app:
        await send_again(ledger_app, calls, LEDGERS, lambda: stored_entries(dsn), replay)


def killed(dsn: str, output: Path, turn: int, seconds: float) -> list[Told]:
    """What a process said that was killed so long after it had opened its app."""
    with output.open("wb") as out:
        words = ("--ledgers", LEDGERS, "--start", turn * 100_000)
        writer = module("tests.faults.work", dsn, "p", *words, out=out)
    limit = time.monotonic() + 60
    while b"open" not in output.read_bytes():
        if writer.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"it has not opened: {writer.communicate()[1].decode()}")
        time.sleep(0.005)
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    return told(output.read_bytes().splitlines())


async def test_processes_that_are_killed_hold_nobody_up(postgres: str, tmp_path: Path) -> None:
    """SIGKILL at random moments, beside an app that goes on."""
    chance, replay = random.Random(SEED), replay_line("test_postgres_killed", SEED)
    calls: list[Told] = []
    async with app(postgres) as ledger_app:
        load = Load(ledger_app, "b", callers=4, ledgers=LEDGERS, limit=10**6)
        async with load.running():
            for turn in range(KILLS):
                output, seconds = tmp_path / str(turn), chance.random() * 0.3
                calls += await asyncio.to_thread(killed, postgres, output, turn, seconds)
            waited = await load.goes_on()
        demand(not load.faults(), f"others are told {load.faults()}", replay)
        calls += load.history
        check_entries(await stored_entries(postgres), calls, LEDGERS, replay)
        await send_again(ledger_app, calls, LEDGERS, lambda: stored_entries(postgres), replay)
    keep(
        "postgres-processes-killed",
        kills=KILLS,
        sent=len(calls),
        answered=sum(call.position is not None for call in calls),
        seconds_until_receipts_again=round(waited, 2),
    )


@pytest.mark.parametrize(
    ("damage", "caught"),
    [
        ("DELETE FROM diptych_events WHERE causation = 'c-12'", "lost"),
        ("DELETE FROM diptych_events WHERE causation = 'c-24' AND data LIKE '%:2,%'", "lost"),
        ("UPDATE diptych_events SET data = replace(data, '\"number\":1', '\"number\":7')", "state"),
    ],
)
async def test_a_store_that_lost_or_changed_something_is_caught(
    postgres: str, damage: str, caught: str
) -> None:
    """The control: damage planted in a store that passes is told by the same checker."""
    async with app(postgres) as ledger_app:
        load = Load(ledger_app, "c", callers=4, ledgers=LEDGERS, limit=40)
        async with load.running():
            await load.goes_on(answers=36)
    check_entries(await stored_entries(postgres), load.history, LEDGERS, "control")
    await fetch(postgres, damage)
    with pytest.raises(HistoryBroken, match=caught):
        check_entries(await stored_entries(postgres), load.history, LEDGERS, "control")
