"""Tables are created and updated by whoever may, once, also when ten processes begin at once."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from diptych.adapters.opening import build_inspection, look_at_server
from diptych.adapters.postgres import ownership, preparing, schema
from diptych.adapters.postgres.address import address
from diptych.errors import ForeignStore, Refused, StoreUnavailable
from diptych.log.inspection import Wanted
from diptych.ops.migrating import Migration, migrate
from diptych.ops.target import Target
from tests.integration.dumps import path_of
from tests.integration.pots import Put, TotalOf, bank, totals
from tests.integration.tables import table_bank
from tests.integration.test_projections import ranking
from tests.servers.asking import sql
from tests.unit.shops import PYPROJECT

PASSWORD = secrets.token_urlsafe(12)

APP = """\
import os
from tests.integration.pots import bank

app = bank(os.environ["BANK"])
"""

WITH_TABLES = """\
import os
from tests.integration.pots import totals
from tests.integration.tables import table_bank
from tests.integration.test_projections import ranking

app = table_bank(os.environ["BANK"], read=[totals, ranking])
"""

OPEN = """\
import asyncio
from tests.integration.pots import Put
from bank_app import app

async def main():
    async with app:
        await app.execute(Put("a", 1))

asyncio.run(main())
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Of the bank, at $BANK."""
    (tmp_path / "bank_app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace("MODULE", "bank_app"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bank_app", raising=False)
    return Target(None, tmp_path)


@pytest.fixture
def on_postgres(target: Target, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Of the bank on PostgreSQL."""
    monkeypatch.setenv("BANK", postgres)
    return target


async def done(target: Target, **asked: Any) -> Migration:
    defaults: dict[str, Any] = {"store": None, "sql": False, "since": None, "dry_run": False}
    return await migrate(target, **{**defaults, **asked})


async def apply(dsn: str, script: str) -> None:
    """As `psql -f` does."""
    session = await asyncpg.connect(dsn)
    try:
        await session.execute(script)
    finally:
        await session.close()


async def tables(dsn: str) -> set[str]:
    rows = await sql(
        dsn, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    return {row[0] for row in rows}


@asynccontextmanager
async def role(dsn: str, *rights: str) -> AsyncIterator[str]:
    """The DSN of a user with these rights and no others; ROLE stands for his name."""
    name = f"r_{secrets.token_hex(4)}"
    granted = [right.replace("ROLE", name) for right in rights]
    await sql(dsn, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'", *granted, "SELECT 1")
    split = urlsplit(dsn)
    netloc = f"{name}:{PASSWORD}@{split.hostname}:{split.port}"
    try:
        yield urlunsplit(split._replace(netloc=netloc))
    finally:
        await sql(dsn, f"DROP OWNED BY {name}", f"DROP ROLE {name}", "SELECT 1")


GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE",
    "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO ROLE",
)


async def test_ten_processes_begin_at_once_in_an_empty_database(
    on_postgres: Target, postgres: str
) -> None:
    async def start(*words: str) -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            cwd=on_postgres.root,
            env={"BANK": postgres, "PYTHONPATH": f"{Path(__file__).parents[2]}:{on_postgres.root}"},
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        _, said = await process.communicate()
        return process.returncode, said

    program = str(Path(sys.executable).with_name("diptych"))
    ended = await asyncio.gather(
        *(start("-c", OPEN) for _ in range(5)), *(start(program, "migrate") for _ in range(5))
    )
    assert ended == [(0, b"")] * 10
    assert await sql(postgres, "SELECT count(*), max(position) FROM diptych_events") == [(5, 5)]
    assert await sql(postgres, "SELECT format, context FROM diptych_store") == [
        (schema.FORMAT, "bank")
    ]


async def test_it_says_what_it_would_do_then_does_it_and_then_has_nothing_to_do(
    on_postgres: Target, postgres: str
) -> None:
    planned = await done(on_postgres, dry_run=True)
    assert (planned.found, planned.done) == (0, "would be migrated")
    assert "CREATE TABLE public.diptych_events" in planned.sql
    assert 'CREATE TABLE IF NOT EXISTS public."view_total_1"' in planned.sql
    assert await tables(postgres) == set()
    migrated = await done(on_postgres)
    assert (migrated.found, migrated.format, migrated.done) == (0, schema.FORMAT, "migrated")
    again = await done(on_postgres)
    assert (again.found, again.done, again.sql) == (schema.FORMAT, "nothing to do", "")
    assert await sql(postgres, "SELECT count(*) FROM diptych_processes") == [(0,)]


async def test_the_sql_is_applied_by_hand_and_the_app_opens(
    on_postgres: Target, postgres: str
) -> None:
    await apply(postgres, (await done(on_postgres, sql=True)).sql)
    assert (await done(on_postgres, dry_run=True)).done == "nothing to do"
    with pytest.raises(asyncpg.PostgresError):
        await apply(postgres, (await done(on_postgres, sql=True, since=0)).sql)
    async with bank(postgres) as app:
        await app.execute(Put("a", 1))
    async with bank(postgres) as app:
        await app.execute(Put("a", 1))
    assert await sql(postgres, "SELECT format, context FROM diptych_store") == [
        (schema.FORMAT, "bank")
    ]


async def test_the_sql_for_a_database_that_does_not_exist_yet(
    on_postgres: Target, postgres: str
) -> None:
    there = (await done(on_postgres, sql=True)).sql
    missing = urlunsplit(urlsplit(postgres)._replace(path="/not_yet"))
    assert (await done(on_postgres, sql=True, store=missing)).sql == there
    nowhere = "postgresql://nobody@127.0.0.1:1/nowhere"
    assert (await done(on_postgres, sql=True, since=0, store=nowhere)).sql == there
    with pytest.raises(StoreUnavailable):
        await done(on_postgres, sql=True, store=nowhere)
    with pytest.raises(Refused, match="Add --sql"):
        await done(on_postgres, since=0)
    with pytest.raises(Refused, match="knows formats up to"):
        await done(on_postgres, sql=True, since=99)


async def test_a_newer_store_and_another_apps_are_refused_with_the_remedy(
    on_postgres: Target, postgres: str
) -> None:
    await done(on_postgres)
    await sql(postgres, "UPDATE diptych_store SET format = 99", "SELECT 1")
    for asked in ({}, {"dry_run": True}, {"sql": True}):
        with pytest.raises(ForeignStore, match=r"format 99.*Use the version of diptych"):
            await done(on_postgres, **asked)
    await sql(
        postgres, f"UPDATE diptych_store SET format = {schema.FORMAT}, context = 'shop'", "SELECT 1"
    )
    for asked in ({}, {"dry_run": True}, {"sql": True}):
        with pytest.raises(ForeignStore, match="belongs to context 'shop'"):
            await done(on_postgres, **asked)


async def test_who_may_not_create_tables_is_told_that_migrate_does(
    on_postgres: Target, postgres: str
) -> None:
    async with role(postgres) as poor:
        with pytest.raises(StoreUnavailable) as raised:
            async with bank(poor):
                pass
        said = str(raised.value)
        assert f"user {urlsplit(poor).username!r} may not create tables in schema public" in said
        assert said.endswith("Run `diptych migrate --store URL` with a user who may.")
        assert PASSWORD not in said
    assert await tables(postgres) == set()


async def test_an_app_runs_as_a_user_who_may_only_read_and_write(
    on_postgres: Target, postgres: str
) -> None:
    assert (await done(on_postgres, store=postgres)).done == "migrated"
    before = await tables(postgres)
    async with role(postgres, *GRANTS) as poor:
        async with bank(poor) as app:
            receipt = await app.execute(Put("a", 1))
            total = await app.ask(TotalOf("a"), after=receipt)
            assert total is not None
            assert total.amount == 1
        async with bank(poor) as app:
            await app.execute(Put("a", 1))
    assert await tables(postgres) == before


async def test_the_rights_of_the_how_to_are_enough_also_for_what_comes_later(
    on_postgres: Target, postgres: str
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "postgresql.md").read_text()
    granting = page.partition("```sql\n")[2].partition("```")[0].replace("TO shop", "TO ROLE")
    await done(on_postgres)
    async with role(postgres, granting) as poor:
        (on_postgres.root / "bank_app.py").write_text(
            WITH_TABLES.replace("table_bank", "bank").replace(
                "integration.tables", "integration.pots"
            )
        )
        again = Target(None, on_postgres.root)
        sys.modules.pop("bank_app", None)
        await done(again)  # creates further tables
        async with bank(poor, read=[totals, ranking]) as app:
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(TotalOf("a"), after=receipt) is not None


async def test_to_look_takes_no_more_than_select(on_postgres: Target, postgres: str) -> None:
    await done(on_postgres)
    select = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO ROLE"
    async with role(postgres, select) as poor:
        inspection = build_inspection(poor)
        assert inspection is not None
        assert (await inspection.standing()).context == "bank"
        assert (await inspection.last(Wanted(), limit=1)).events == []
        facts = await look_at_server(poor)
        assert facts is not None
        assert (facts.is_superuser, facts.may_create) == (False, False)
        assert "INSERT, UPDATE, DELETE on diptych_events" in facts.missing


async def test_the_sql_has_the_tables_of_views_projections_and_rows(
    on_postgres: Target, postgres: str
) -> None:
    (on_postgres.root / "bank_app.py").write_text(WITH_TABLES)
    await apply(postgres, (await done(on_postgres, sql=True)).sql)
    before = await tables(postgres)
    assert {"view_total_1", "ranks", "pots"} <= before
    assert (await done(on_postgres, dry_run=True)).done == "nothing to do"
    async with role(postgres, *GRANTS) as poor:
        async with table_bank(poor, read=[totals, ranking]) as app:
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(TotalOf("a"), after=receipt) is not None
    assert await tables(postgres) == before
    await sql(postgres, "DROP TABLE pots", "SELECT 1")
    again = await done(on_postgres, sql=True)
    assert (again.found, again.done) == (schema.FORMAT, "would be migrated")
    assert again.sql.count("CREATE TABLE") == 1
    assert (await done(on_postgres)).done == "migrated"
    assert (await done(on_postgres, dry_run=True)).done == "nothing to do"


@pytest.mark.parametrize(
    ("revoked", "lacking"),
    [
        ("INSERT, UPDATE ON diptych_events", "INSERT, UPDATE on diptych_events"),
        ("EXECUTE ON ALL FUNCTIONS IN SCHEMA public", "EXECUTE on diptych_write"),
        (
            "ALL ON ALL TABLES IN SCHEMA public",
            "SELECT, INSERT, UPDATE, DELETE on diptych_checkpoints",
        ),
    ],
)
async def test_a_right_that_is_missing_is_named_with_the_grant(
    on_postgres: Target, postgres: str, revoked: str, lacking: str
) -> None:
    await done(on_postgres)
    async with role(postgres, *GRANTS, f"REVOKE {revoked} FROM ROLE") as poor:
        name = urlsplit(poor).username
        with pytest.raises(StoreUnavailable) as raised:
            async with bank(poor):
                pass
        said = str(raised.value)
        assert lacking in said
        assert PASSWORD not in said
        await sql(postgres, said[said.index("GRANT") :].removesuffix("."), "SELECT 1")
        async with bank(poor) as app:
            await app.execute(Put("a", 1))
        assert str(name) in said


async def test_a_schema_that_may_not_be_used_is_named(on_postgres: Target, postgres: str) -> None:
    await sql(postgres, "CREATE SCHEMA closed", "SELECT 1")
    there = f"{postgres}?schema=closed"
    await done(on_postgres, store=there)
    async with role(postgres) as poor:
        with pytest.raises(StoreUnavailable, match="schema closed"):
            async with bank(f"{poor}?schema=closed"):
                pass


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is to come."""
    step = "ALTER TABLE {s}.diptych_names ADD COLUMN since bigint NOT NULL DEFAULT 0"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    for module in (schema, preparing, ownership):
        monkeypatch.setattr(module, "FORMAT", schema.FORMAT + 1 if module is schema else 2)


async def test_a_store_is_brought_from_one_format_to_the_next(
    on_postgres: Target, postgres: str, request: pytest.FixtureRequest
) -> None:
    async with bank(postgres) as app:
        await app.execute(Put("a", 1))
    epochs = await sql(postgres, "SELECT epoch FROM diptych_store")
    request.getfixturevalue("second")
    planned = await done(on_postgres, dry_run=True)
    assert (planned.found, planned.format, planned.done) == (1, 2, "would be migrated")
    assert "CREATE TABLE" not in planned.sql
    async with role(postgres, *GRANTS) as poor:
        with pytest.raises(StoreUnavailable, match=r"format 1, this diptych writes 2.*migrate"):
            async with bank(poor):
                pass
        assert (await done(on_postgres)).done == "migrated"
        async with bank(poor) as app:
            await app.execute(Put("a", 1))
    assert await sql(postgres, "SELECT format, epoch FROM diptych_store") == [(2, epochs[0][0])]
    assert await sql(postgres, "SELECT DISTINCT since FROM diptych_names") == [(0,)]
    with pytest.raises(asyncpg.RaiseError, match="is not of format 1"):
        await apply(postgres, planned.sql)


async def test_a_new_store_has_all_steps(on_postgres: Target, postgres: str, second: None) -> None:
    await apply(postgres, (await done(on_postgres, sql=True)).sql)
    assert await sql(postgres, "SELECT format FROM diptych_store") == [(2,)]
    async with bank(postgres) as app:
        await app.execute(Put("a", 1))
    assert (await done(on_postgres)).done == "nothing to do"


async def test_ten_updates_at_once_are_one(
    on_postgres: Target, postgres: str, request: pytest.FixtureRequest
) -> None:
    await done(on_postgres)
    request.getfixturevalue("second")
    await asyncio.gather(*(done(on_postgres) for _ in range(10)))
    assert await sql(postgres, "SELECT format FROM diptych_store") == [(2,)]


async def test_a_file_gets_its_tables_too(
    target: Target, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK", file)
    planned = await done(target, dry_run=True)
    assert (planned.found, planned.done, planned.sql) == (0, "would be migrated", "")
    assert not path_of(file).exists()
    assert (await done(target)).done == "migrated"
    assert (await done(target)).done == "nothing to do"
    connection = sqlite3.connect(path_of(file))
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    assert {"diptych_events", "view_total_1"} <= names


def test_the_lock_of_a_schema_is_in_its_script() -> None:
    from diptych.adapters.postgres.migrating import script

    there = address("postgresql://h/db?schema=orders")
    told = script(there, 0, [])
    assert f"pg_advisory_xact_lock({there.lock[0]}, {there.lock[1]})" in told
    assert "public." not in told
