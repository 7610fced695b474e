"""`diptych prove`: 12 writers in 4 processes and 3 readers on PostgreSQL, and all that happens to them.

The checker reads the tables with plain SQL and shares no code with the engine. It is shown to catch
feeds that are ordered wrongly. DIPTYCH_SOAK=1 runs 60 seconds instead of 8, on a server with fsync.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import asyncpg
import msgspec
import pytest

from diptych.adapters.postgres import preparing
from diptych.errors import StoreUnavailable
from diptych.ops.prove.checking import Violation, check_log, check_reader, longest_delay
from diptych.ops.prove.plan import EVENTS, ROWS
from diptych.ops.prove.proof import READER_STALL, STARVED, WRITER_STALL, Proof
from diptych.ops.prove.proving import prove
from tests.faults.evidence import LONG, keep
from tests.faults.planted_feed import Feed, Order
from tests.faults.processes import ROOT, commit
from tests.servers.databases import Databases, with_database
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SECONDS = 60.0 if LONG else 8.0

SLACK = 10
"""How many times as long as promised a stall may be where others work on the same machine."""


async def last_of(dsn: str, **more: Any) -> Proof:
    """The verdict."""
    told: dict[str, Any] = {"seconds": SECONDS, "writers": 12, "processes": 4, "readers": 3}
    return [proof async for proof in prove(dsn, **(told | more))][-1]


async def schemas(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'diptych_prove_%'"
        )
    finally:
        await connection.close()
    return [row[0] for row in rows]


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        if LONG:
            server = stack.enter_context(Postgres())
            databases = Databases(server.dsn(), prepare=_nothing)
            stack.callback(databases.close)
        else:
            databases = request.getfixturevalue("postgres_databases")
        dsn = databases.new()
        yield dsn
        databases.drop(dsn)


async def _nothing(_: str) -> None: ...


@pytest.fixture(scope="module")
def proof(database: str) -> Proof:
    found = asyncio.run(last_of(database))
    keep("feed-proof", **msgspec.to_builtins(found))
    return found


def test_no_event_is_lost_doubled_or_out_of_order(proof: Proof) -> None:
    if proof.broken:
        raise RuntimeError(
            f"{proof.broken} violations, first {proof.violations[:5]}\n"
            f"replay: commit={commit()} command: pytest {__file__}"
        )
    assert (proof.lost, proof.doubled, proof.out_of_order) == (0, 0, 0)


def test_the_proof_was_one(proof: Proof) -> None:
    """Every path was taken, and everything that was to happen to it has happened."""
    assert {one.path for one in proof.written} == {*EVENTS, *ROWS}
    assert [one for one in proof.written if one.accepted < 10 or one.refused < 1] == []
    done = " ".join(proof.disturbances)
    assert "stopped" in done
    assert "open in database" in done
    assert "ended by the server" in done
    assert "held open" in done
    assert [text for text in proof.omitted if "CPU" not in text] == []


def test_nobody_stands_still(proof: Proof) -> None:
    slack = SLACK if not LONG or proof.cpu_wait > STARVED else 1
    assert proof.reader_stall < READER_STALL * slack + proof.machine_stall
    assert proof.writer_stall < WRITER_STALL * slack + proof.machine_stall


async def test_the_schema_is_gone_afterwards(database: str, proof: Proof) -> None:
    assert proof.schema.startswith("diptych_prove_")
    assert await schemas(database) == []


def planted(dsn: str, order: Order, *, hold: str | None = None) -> tuple[Feed, list[Violation]]:
    """A run, and what the checker says of it.

    Args:
        hold: DSN of a database in which a transaction is open all the time.
    """

    async def run() -> Feed:
        feed = Feed(dsn, order)
        if hold is None:
            await feed.run(2.0)
            return feed
        other = await asyncpg.connect(hold)
        await other.execute("BEGIN")
        await other.fetch("SELECT pg_current_xact_id()")
        ending = asyncio.get_running_loop().call_later(2.0, other.terminate)
        await feed.run(2.5)
        ending.cancel()
        other.terminate()
        return feed

    feed = asyncio.run(run())
    found = check_log(feed.stored, feed.calls)
    for number, seen in enumerate(feed.seen):
        found += check_reader(f"reader {number}", seen, feed.stored)
    return feed, found


def test_the_checker_has_nothing_to_say_about_a_feed_under_a_lock(postgres: str) -> None:
    feed, found = planted(postgres, "lock")
    assert len(feed.stored) > 100
    assert found == []


def test_naive_ordering_is_caught(postgres: str) -> None:
    feed, found = planted(postgres, "naive")
    counted = Counter(one.kind for one in found if one.about.startswith("reader"))
    keep("feed-proof-naive", events=len(feed.stored), readers=3, **counted)
    assert counted["lost"] > len(feed.stored) / 100


def test_xid_ordering_is_caught(postgres: str) -> None:
    feed, found = planted(postgres, "xid")
    counted = Counter(one.kind for one in found if one.about.startswith("reader"))
    turned = [one for one in found if "came after version" in one.about]
    keep("feed-proof-xid", events=len(feed.stored), readers=3, inversions=len(turned))
    assert counted["lost"] == 0
    assert len(turned) > len(feed.stored) / 100


def test_xid_ordering_stands_still_while_somebody_writes_elsewhere(
    postgres: str, postgres_server: str
) -> None:
    feed, _ = planted(postgres, "xid", hold=with_database(postgres_server, "postgres"))
    delay, about = longest_delay(feed.seen[0], feed.probes)
    assert delay > READER_STALL
    assert about


def _command(dsn: str, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", "from diptych.cli import main; main()", "prove", dsn, *more]
    return subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def interrupted(dsn: str, how: signal.Signals) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A command that works and is then sent a signal; and its processes."""
    running = _command(dsn, *"--seconds 60 --writers 4 --processes 2 --readers 1 --json".split())
    try:
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        assert first["result"]["state"] == "running"
        assert asyncio.run(schemas(dsn)) == [first["result"]["schema"]]
        children = _children(running.pid)
        assert len(children) == 3
        running.send_signal(how)
        yield running, children
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_proof_removes_its_schema_and_its_processes(
    postgres: str, how: signal.Signals
) -> None:
    with interrupted(postgres, how) as (running, children):
        told, errors = running.communicate(timeout=60)
        assert (running.returncode, "Traceback" in errors) == (130, False)
        assert '"proved"' not in told
        assert asyncio.run(schemas(postgres)) == []
        assert [pid for pid in children if _is_alive(pid)] == []


def test_the_processes_of_a_proof_that_is_killed_end_by_themselves(postgres: str) -> None:
    with interrupted(postgres, signal.SIGKILL) as (running, children):
        running.communicate(timeout=60)
        until = time.monotonic() + 30
        while any(_is_alive(pid) for pid in children):
            assert time.monotonic() < until
            time.sleep(0.05)


def _children(parent: int) -> list[int]:
    tasks = f"/proc/{parent}/task/{parent}/children"
    with open(tasks) as file:
        return [int(pid) for pid in file.read().split()]


def _is_alive(pid: int) -> bool:
    """A zombie is not: nobody may bury what was left by a process that was killed."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def test_a_process_that_dies_is_told_with_what_it_said(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.ops.prove.proving.sys.executable", "/bin/false")
    with pytest.raises(StoreUnavailable, match="ended with 1"):
        await last_of(postgres, seconds=5)
    assert await schemas(postgres) == []


async def test_a_dry_run_creates_nothing(postgres: str) -> None:
    proof = await last_of(postgres, dry_run=True)
    assert (proof.state, proof.events) == ("planned", 0)
    assert await schemas(postgres) == []


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("x", "Write it as 'postgresql://"),
        ("sqlite:///x.db", "Write it as 'postgresql://"),
        ("postgresql://u:secret@127.0.0.1:1/x", "Look whether the server runs there"),
        ("postgresql://u:secret@127.0.0.1:99999999/x", "Write it as 'postgresql://"),
    ],
)
async def test_a_wrong_dsn_is_a_named_error_without_its_password(dsn: str, told: str) -> None:
    with pytest.raises(StoreUnavailable, match=told) as error:
        await last_of(dsn)
    assert "secret" not in str(error.value)


async def test_a_user_who_may_create_no_schema_is_told_so(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    name = f"reader_{time.time_ns()}"
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    try:
        _, _, at = postgres.partition("@")
        with pytest.raises(StoreUnavailable, match="GRANT CREATE ON DATABASE"):
            await last_of(f"postgresql://{name}:x@{at}")
    finally:
        await connection.execute(f"DROP ROLE {name}")
        await connection.close()


async def test_a_server_that_is_too_old_is_told_so(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "OLDEST", 10_000_000)
    with pytest.raises(StoreUnavailable, match="is too old"):
        await last_of(postgres)
    assert await schemas(postgres) == []
