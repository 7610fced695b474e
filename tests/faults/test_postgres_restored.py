"""A log that was put back, or whose server was replaced, is another one: receipts, seen= and views
elsewhere are refused, and an app that stayed open notices. What changes nothing is no new epoch."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from diptych import Receipt
from diptych.adapters.postgres import preparing, schema
from diptych.errors import CommitUnknown, ForeignStore
from tests.faults.ledger import Book, LengthOf, app
from tests.faults.postgres_tables import fetch
from tests.servers.databases import Databases, with_database
from tests.servers.postgres import Postgres
from tests.servers.replica import Replica, become_replica

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def databases(server: Postgres) -> Iterator[Databases]:
    async def nothing(dsn: str) -> None: ...

    databases = Databases(server.dsn(), prepare=nothing)
    yield databases
    databases.close()


@pytest.fixture
def dsn(databases: Databases) -> str:
    return databases.new()


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A server for a test that does more to it."""
    with Postgres(durable=False) as server:
        yield server


class Tools:
    """pg_dump and its like, of the same version."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self._programs = server._programs / "bin"
        self._folder = folder

    def __call__(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *words],
            cwd=self._folder, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}:\n{done.stderr}")


@pytest.fixture
def tools(server: Postgres, tmp_path: Path) -> Tools:
    return Tools(server, tmp_path)


async def book(store: str, *entries: str) -> list[Receipt]:
    async with app(store) as opened:
        return [await opened.execute(Book("l", entry, 1), id=entry) for entry in entries]


async def restored_elsewhere(dsn: str, tools: Tools, databases: Databases) -> str:
    tools("pg_dump", "-Fc", "-f", "dump", dsn)
    there = databases.new()
    tools("pg_restore", "-d", there, "dump")
    return there


async def restored_over_it(dsn: str, tools: Tools, databases: Databases) -> str:
    tools("pg_dump", "-Fc", "-f", "dump", dsn)
    await book(dsn, "lost")
    tools("pg_restore", "--clean", "-d", dsn, "dump")
    return dsn


async def only_rows_restored(dsn: str, tools: Tools, databases: Databases) -> str:
    """Into the same tables, emptied before."""
    tools("pg_dump", "-Fc", "--data-only", "-f", "dump", dsn)
    await book(dsn, "lost")
    rows = await fetch(dsn, "SELECT tablename FROM pg_tables WHERE tablename LIKE 'diptych%'")
    await fetch(dsn, "TRUNCATE " + ", ".join(name for (name,) in rows))
    tools("pg_restore", "--data-only", "-d", dsn, "dump")
    return dsn


async def copied_as_a_template(dsn: str, tools: Tools, databases: Databases) -> str:
    there = databases.new()
    name, template = urlsplit(there).path[1:], urlsplit(dsn).path[1:]
    other = with_database(dsn, "postgres")
    await fetch(other, f"DROP DATABASE {name}")
    await fetch(other, f"CREATE DATABASE {name} TEMPLATE {template}")
    return there


Restore = Callable[[str, Tools, Databases], Awaitable[str]]


@pytest.mark.parametrize(
    "restore", [restored_elsewhere, restored_over_it, only_rows_restored, copied_as_a_template]
)
async def test_what_was_restored_is_another_log(
    dsn: str, tools: Tools, databases: Databases, restore: Restore, tmp_path: Path
) -> None:
    views = tmp_path / "views.db"
    place = f"sqlite:///{views}"
    async with app(dsn, view=True, place=place) as opened:
        before = await opened.execute(Book("l", "e", 1), id="e")
        await opened.settled()
    there = await restore(dsn, tools, databases)
    with pytest.raises(ForeignStore, match=rf"{views} keeps views.*Delete it: its views fill anew"):
        async with app(there, view=True, place=place):
            pass
    views.unlink()
    async with app(there, view=True, place=place) as opened:
        with pytest.raises(ForeignStore, match=r"after= comes from.*epoch.*send the command again"):
            await opened.ask(LengthOf("l"), after=before)
        with pytest.raises(ForeignStore, match=r"seen= comes from.*epoch.*Ask this app again"):
            await opened.execute(Book("l", "f", 1), seen=before)
        again = await opened.execute(Book("l", "e", 1), id="e")
        assert again != before
        assert (again.position, again.version) == (before.position, before.version)
        assert await opened.ask(LengthOf("l"), after=again) == 1
        assert (await opened.execute(Book("l", "f", 1), seen=again)).version == 2
    async with app(there, view=True, place=place) as opened:  # and stays what it is
        assert await opened.ask(LengthOf("l"), after=again) == 1


async def test_a_process_that_stays_open_while_its_log_is_put_back_notices(
    dsn: str, tools: Tools, databases: Databases
) -> None:
    async with app(dsn) as opened:
        await opened.execute(Book("l", "e", 1))
        tools("pg_dump", "-Fc", "-f", "dump", dsn)
        lost = [await opened.execute(Book("l", f"lost{n}", 1)) for n in range(3)]
        tools("pg_restore", "--clean", "-d", dsn, "dump")
        for _ in range(2):
            with pytest.raises(ForeignStore, match=r"not the log that was opened.*Open the app ag"):
                await opened.execute(Book("l", "f", 1))
    (after,) = await book(dsn, "f")
    assert after.position == lost[0].position
    assert after.epoch != lost[0].epoch


async def test_an_app_notices_that_a_replica_has_taken_over(own: Postgres) -> None:
    dsn = own.dsn()
    async with app(dsn) as opened:
        before = await opened.execute(Book("l", "e", 1))
        await asyncio.to_thread(become_replica, own)
        await fetch(dsn, "SELECT pg_promote()")
        for _ in range(2):
            with pytest.raises(ForeignStore, match=r"replica has become the primary.*Open the app"):
                await opened.execute(Book("l", "f", 1))
        with pytest.raises(ForeignStore, match="not the log that was opened"):
            await opened.log.head()
        async with app(dsn) as reopened:
            after = await reopened.execute(Book("l", "f", 1))
            assert after.epoch != before.epoch
            assert after.version == 2
        with pytest.raises(ForeignStore, match="not the log that was opened"):
            await opened.execute(Book("l", "g", 1))


async def test_after_a_failover_that_lost_commands_they_are_sent_again(own: Postgres) -> None:
    """To a replica that had not heard of them, by an app whose URL names both."""
    with Replica(own) as replica:
        here, there = urlsplit(own.dsn()), urlsplit(replica.dsn())
        netloc = f"{here.netloc},127.0.0.1:{there.port}"
        both = urlunsplit(here._replace(netloc=netloc, query="target_session_attrs=read-write"))
        async with app(both) as opened:
            kept = await opened.execute(Book("l", "kept", 1), id="kept")
            head = "SELECT count(*) FROM diptych_events"
            while await fetch(replica.dsn(), WAITS_FOR_TABLES) or not await fetch(
                replica.dsn(), f"{head} HAVING count(*) = 1"
            ):
                await asyncio.sleep(0.02)
            await asyncio.to_thread(replica.stop)
            lost = await opened.execute(Book("l", "lost", 1), id="lost")
            await asyncio.to_thread(own.kill)
            await asyncio.to_thread(replica.start)
            await fetch(replica.dsn(), "SELECT pg_promote()")
            with pytest.raises(ForeignStore, match=r"replica has become the primary.*Open the app"):
                await opened.execute(Book("l", "next", 1))
        async with app(both) as opened:
            assert (await opened.execute(Book("l", "kept", 1), id="kept")).position == kept.position
            other = await opened.execute(Book("l", "next", 1), id="next")
            assert (other.position, other.version) == (lost.position, lost.version)
            assert (await opened.execute(Book("l", "lost", 1), id="lost")).version == 3
            with pytest.raises(ForeignStore, match="seen= comes from"):
                await opened.execute(Book("l", "seen", 1), seen=lost)


WAITS_FOR_TABLES = "SELECT 1 WHERE to_regclass('diptych_events') IS NULL"


async def test_what_was_under_way_at_a_failover_is_unknown(own: Postgres) -> None:
    dsn = own.dsn()
    async with app(dsn) as opened:
        await opened.execute(Book("l", "e", 1))
        writer = opened._opened.store._opened.writer
        fetched = writer._connection.fetch

        async def lost(*given: Any) -> Any:
            answer = await fetched(*given)
            await asyncio.to_thread(become_replica, own)
            await fetch(dsn, "SELECT pg_promote()")
            del answer
            raise ConnectionResetError("planted")

        writer._connection = Fetching(writer._connection, lost)
        with pytest.raises(CommitUnknown, match=r"not the log that was opened.*with the same id"):
            await opened.execute(Book("l", "f", 1), id="f")
    again = await book(dsn, "f", "f")
    assert [receipt.version for receipt in again] == [2, 2]


class Fetching:
    """A connection whose statements are fetched in another way."""

    def __init__(self, connection: Any, fetch: Any) -> None:
        self._connection = connection
        self.fetch = fetch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def copy(server: Postgres, there: Path) -> None:
    server.stop()
    shutil.copytree(server.data, there)
    server.start()


def put_back(server: Postgres, there: Path) -> None:
    server.stop()
    owner = os.stat(server.data)[4:6]
    shutil.rmtree(server.data)
    shutil.copytree(there, server.data)
    server.data.chmod(0o700)
    for path in (server.data, *server.data.rglob("*")):
        os.chown(path, *owner)
    server.start()


async def test_files_that_were_put_back_are_noticed_by_whoever_stayed_open(
    own: Postgres, tmp_path: Path
) -> None:
    """A copy of the server's files tells nobody that it is one: who opens it anew cannot know."""
    dsn = own.dsn()
    async with app(dsn) as opened:
        await opened.execute(Book("l", "e", 1))
        await asyncio.to_thread(copy, own, tmp_path / "copy")
        for n in range(3):
            await opened.execute(Book("l", f"lost{n}", 1))
        await asyncio.to_thread(put_back, own, tmp_path / "copy")
        with pytest.raises(ForeignStore, match="not the log that was opened"):
            await opened.execute(Book("l", "f", 1))
    # So the operator says it, as the how-to has it:
    before = await book(dsn, "e2")
    await fetch(dsn, "UPDATE diptych_store SET incarnation = 'restored'")
    assert (await book(dsn, "e3"))[0].epoch != before[0].epoch


async def test_nothing_else_begins_a_new_epoch(own: Postgres) -> None:
    dsn = own.dsn()
    epochs = {receipt.epoch for receipt in await book(dsn, "e0")}
    async with app(dsn) as opened:
        for n, statement in enumerate(
            [
                "VACUUM (FULL, FREEZE) diptych_store",
                "REINDEX TABLE diptych_store",
                "CHECKPOINT",
                "ALTER DATABASE postgres SET work_mem = '5MB'",
                "SELECT pg_switch_wal()",
            ]
        ):
            await fetch(dsn, statement)
            epochs |= {receipt.epoch for receipt in await book(dsn, f"s{n}")}
        own.stop()
        own.start()
        epochs |= {receipt.epoch for receipt in await book(dsn, "stopped")}
        own.kill()
        own.start()
        epochs |= {receipt.epoch for receipt in await book(dsn, "killed")}
        epochs.add((await opened.execute(Book("l", "all along", 1))).epoch)
    assert len(epochs) == 1


async def test_a_new_format_is_no_new_epoch(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = await book(dsn, "e")
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, "CREATE TABLE {s}.diptych_next (id int)"))
    monkeypatch.setattr(schema, "FORMAT", 2)
    monkeypatch.setattr(preparing, "FORMAT", 2)
    for entry in ("f", "g"):
        (after,) = await book(dsn, entry)
        assert after.epoch == before.epoch
    assert await fetch(dsn, "SELECT format FROM diptych_store") == [(2,)]


async def test_a_plain_role_sees_it_too(dsn: str) -> None:
    (before,) = await book(dsn, "e")
    await fetch(dsn, "CREATE ROLE plain LOGIN PASSWORD 'x'")
    await fetch(dsn, "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
    there = urlsplit(dsn)
    as_plain = f"postgresql://plain:x@127.0.0.1:{there.port}{there.path}"
    assert (await book(as_plain, "f"))[0].epoch == before.epoch
    await fetch(dsn, "UPDATE diptych_store SET incarnation = 'restored'")
    assert (await book(as_plain, "g"))[0].epoch != before.epoch
