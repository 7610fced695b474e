"""The servers that tests ask for by name: started when the first one does, stopped at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.databases import Databases
from tests.servers.pgbouncer import PROGRAM, PgBouncer
from tests.servers.postgres import Postgres


async def prepare_template(dsn: str) -> None:
    """What every test's database has from the start: nothing."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The DSN of a server for all tests, which need not survive a crash.

    `DIPTYCH_TEST_POSTGRES=dsn` names another one, whose role may create databases;
    `DIPTYCH_TEST_POSTGRES_MAJOR=16` starts that version. A test that hurts its server starts
    its own: `with Postgres() as server`.
    """
    if given := os.environ.get("DIPTYCH_TEST_POSTGRES"):
        yield given
        return
    major = int(os.environ.get("DIPTYCH_TEST_POSTGRES_MAJOR", "18"))
    with Postgres(durable=False, major=major) as server:
        yield server.dsn()


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: str) -> Iterator[Databases]:
    """Where a test gets more than one."""
    databases = Databases(postgres_server, prepare=prepare_template)
    yield databases
    databases.close()


@pytest.fixture
def postgres(postgres_databases: Databases) -> Iterator[str]:
    """The DSN of a database that only this test has."""
    dsn = postgres_databases.new()
    yield dsn
    postgres_databases.drop(dsn)


@pytest.fixture(scope="session")
def pooler(postgres_server: str) -> Iterator[PgBouncer]:
    """A pgbouncer in transaction mode before that server: two connections for each database."""
    if PROGRAM is None:
        reason = (
            "NOTHING IS TESTED BEHIND A POOLER: pgbouncer is missing (apt-get install pgbouncer)"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with PgBouncer(postgres_server, connections=2) as pooler:
        yield pooler


@pytest.fixture
def pooled(pooler: PgBouncer, postgres: str) -> str:
    """The DSN of a database that only this test has, through the pooler."""
    return pooler.dsn(postgres)
