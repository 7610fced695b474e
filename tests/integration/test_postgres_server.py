"""The server that tests get: closed to strangers, a database each, and gone with its process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from tests.servers.asking import execute
from tests.servers.databases import Databases
from tests.servers.guard import working_in
from tests.servers.postgres import PROGRAMS, WHEEL, Postgres

ROOT = Path(__file__).parents[2]
MAKE = "CREATE TABLE kept (number int PRIMARY KEY); INSERT INTO kept VALUES (1), (2)"


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that the test may kill."""
    with Postgres() as server:
        yield server


async def fetch(dsn: str, sql: str) -> list[object]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch(sql)]
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_test_finds_none_of_another_tests_tables(postgres: str, turn: int) -> None:
    assert await fetch(postgres, "SELECT to_regclass('kept')::text") == [None]
    await execute(postgres, MAKE)


async def test_two_databases_of_a_test_are_two(
    postgres: str, postgres_databases: Databases
) -> None:
    other = postgres_databases.new()
    await execute(postgres, MAKE)
    assert await fetch(other, "SELECT to_regclass('kept')::text") == [None]
    postgres_databases.drop(other)


async def test_a_database_goes_though_somebody_is_connected(
    postgres_server: str, postgres_databases: Databases
) -> None:
    dsn = postgres_databases.new()
    connection = await asyncpg.connect(dsn)
    (name,) = await fetch(dsn, "SELECT current_database()")
    postgres_databases.drop(dsn)
    while await fetch(postgres_server, f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        await asyncio.sleep(0.01)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetch("SELECT 1")


async def test_every_database_starts_as_the_template_was_prepared(server: Postgres) -> None:
    databases = Databases(server.dsn(), prepare=lambda dsn: execute(dsn, MAKE))
    for _ in range(2):
        assert await fetch(databases.new(), "DELETE FROM kept RETURNING number") == [1, 2]
    databases.close()


async def test_no_one_comes_in_with_a_wrong_password(server: Postgres) -> None:
    wrong = server.dsn().replace(server.dsn().split(":")[2].split("@")[0], "guessed")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_a_killed_server_starts_again_with_what_was_committed(server: Postgres) -> None:
    await execute(server.dsn(), MAKE)
    left_open = await asyncpg.connect(server.dsn())
    await left_open.execute("BEGIN; INSERT INTO kept VALUES (3)")
    dsn, pid = server.dsn(), server.pid
    server.kill()
    assert working_in(str(server.data)) == []
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(dsn)
    server.start()
    assert server.pid != pid
    assert await fetch(dsn, "SELECT number FROM kept ORDER BY 1") == [1, 2]
    assert "was not properly shut down" in server.log
    left_open.terminate()


async def test_a_stopped_server_starts_again_where_it_was(server: Postgres) -> None:
    await execute(server.dsn(), MAKE)
    dsn = server.dsn()
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.pid
    server.start()
    assert await fetch(dsn, "SELECT number FROM kept ORDER BY 1") == [1, 2]
    assert "was not properly shut down" not in server.log


async def test_only_a_durable_server_syncs(server: Postgres) -> None:
    assert await fetch(server.dsn(), "SHOW fsync") == ["on"]
    with Postgres(durable=False, settings={"max_connections": "17"}) as forgetful:
        assert await fetch(forgetful.dsn(), "SHOW fsync") == ["off"]
        assert await fetch(forgetful.dsn(), "SHOW max_connections") == ["17"]


@pytest.mark.parametrize("major", PROGRAMS)
async def test_every_version_of_the_wheel_runs(major: int) -> None:
    with Postgres(durable=False, major=major) as server:
        (version,) = await fetch(server.dsn(), "SHOW server_version")
        assert str(version).startswith(f"{major}.")


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root runs the wheel's own files")
async def test_root_runs_a_copy_where_nobody_may_not_go_to_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec(WHEEL)
    assert spec is not None
    assert spec.origin is not None
    wheel = Path(spec.origin).parent
    for name in (WHEEL, f"{WHEEL}.libs"):
        (tmp_path / name).symlink_to(wheel.with_name(name))
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path)
    with Postgres(durable=False) as server:
        program = Path(f"/proc/{server.pid}/exe").resolve()
        assert program.is_relative_to(server.directory)
        assert await fetch(server.dsn(), "SELECT 1") == [1]


async def test_a_server_that_does_not_start_says_why() -> None:
    server = Postgres(settings={"shared_buffers": "plenty"})
    with pytest.raises(RuntimeError, match='invalid value for parameter "shared_buffers"'):
        server.start()
    server.close()


async def test_a_closed_server_leaves_nothing() -> None:
    with Postgres(durable=False) as server:
        directories, pid = [server.directory, server.data], server.pid
        assert all(directory.exists() for directory in directories)
    assert not any(directory.exists() for directory in directories)
    assert not Path(f"/proc/{pid}").exists()


LEAVES = """
import sys, time
from tests.servers.postgres import Postgres
server = Postgres(durable=False)
server.start()
print(server.directory, server.data, server.pid, flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
"""


@pytest.mark.parametrize("end", ["return", "SIGINT", "SIGTERM", "SIGKILL"])
def test_a_process_that_ends_takes_its_server_along(end: str) -> None:
    words = [sys.executable, "-c", LEAVES, "return" if end == "return" else "wait"]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        directory, data, pid = process.stdout.readline().split()
        if end != "return":
            assert int(pid) in working_in(data)
            process.send_signal(signal.Signals[end])
        process.wait()
    finally:
        process.kill()
        process.communicate()
    while Path(directory).exists():
        time.sleep(0.01)
    assert not Path(data).exists()
    assert working_in(data) == []
