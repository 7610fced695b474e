"""What can be wrong with a server: each has a named error that says what to do, nothing is half
written, no message shows a password, and an app that was open goes on by itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from msgspec.structs import replace

from diptych import WiringError
from diptych.adapters.postgres import connection, pool, preparing, schema
from diptych.adapters.postgres.address import address
from diptych.errors import BadResult, DiptychError, ForeignStore, StoreUnavailable
from diptych.log.commit import Appended
from tests.contract.commits import append, together
from tests.faults.ledger import Book, app
from tests.servers.asking import sql
from tests.servers.databases import Databases
from tests.servers.postgres import Postgres
from tests.servers.replica import become_replica

PASSWORD = "s3cret-" + secrets.token_hex(4)


def changed(dsn: str, *, user: str = "", password: str = "", **parts: str) -> str:
    """The same DSN with another user, port, database or query."""
    split = urlsplit(dsn)
    user, password = user or split.username or "", password or split.password or ""
    port = parts.pop("port", str(split.port))
    netloc = f"{user}:{password}@{parts.pop('host', split.hostname)}:{port}"
    return urlunsplit(split._replace(netloc=netloc, **parts))


async def refused(dsn: str, error: type[DiptychError], match: str) -> str:
    """The message of what opening an app says."""
    with pytest.raises(error, match=match) as raised:
        async with app(dsn) as opened:
            await opened.execute(Book("l", "e", 1))
    said = str(raised.value)
    assert type(raised.value) is error
    for secret in (PASSWORD, urlsplit(dsn).password):
        assert not secret or secret not in said
    assert said.endswith(".")
    return said


@asynccontextmanager
async def role(dsn: str, attributes: str = "LOGIN") -> AsyncIterator[str]:
    """A user of the database's server who may nothing by himself, as its DSN."""
    name = f"r_{secrets.token_hex(4)}"
    await sql(dsn, f"CREATE ROLE {name} {attributes} PASSWORD '{PASSWORD}'")
    yield changed(dsn, user=name, password=PASSWORD)
    await sql(dsn, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that a test may hurt."""
    with Postgres(durable=False, settings={"max_connections": "12"}) as server:
        yield server


class TestTheUrl:
    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://me:{PASSWORD}@host:port/db",
            f"postgresql://me:{PASSWORD}@x@host/db",
            f"postgresql://me:{PASSWORD}/x@host/db",
            f"postgresql://me:12/{PASSWORD}@host/db",
            f"postgresql://me:12?{PASSWORD}@host/db",
            f"postgresql://me:{PASSWORD}#x@host/db",
            f"postgresql://me:{PASSWORD}@[::1/db",
            f"postgresql://me@host/db?password={PASSWORD}&port=x",
        ],
    )
    def test_malformed_is_refused_without_showing_the_password(self, url: str) -> None:
        with pytest.raises(WiringError, match=r"malformed.*'postgresql://user:password@") as raised:
            app(url)
        assert PASSWORD not in str(raised.value)

    @pytest.mark.parametrize("name", ["connect_timeout", "channel_binding", "shema"])
    def test_an_unknown_parameter_is_named(self, name: str) -> None:
        url = f"postgresql://me:{PASSWORD}@host/db?password={PASSWORD}&{name}=5"
        with pytest.raises(WiringError, match=f"'{name}' is not known. Leave it out") as raised:
            app(url)
        assert PASSWORD not in str(raised.value)

    def test_what_an_address_shows_has_no_password(self) -> None:
        there = address(f"postgresql://me:{PASSWORD}@h1:1,h2/db?sslpassword={PASSWORD}")
        assert PASSWORD not in repr(there)
        assert there.where == "postgresql://h1:1,h2:5432/db"

    async def test_a_value_that_the_driver_does_not_know(self, postgres: str) -> None:
        await refused(changed(postgres, query="sslmode=maybe"), WiringError, "sslmode")

    async def test_several_servers_of_which_one_is_up(self, postgres: str) -> None:
        where = urlsplit(postgres)
        several = f"127.0.0.1:1,127.0.0.1:{where.port}"
        netloc = f"{where.username}:{where.password}@{several}"
        url = urlunsplit(where._replace(netloc=netloc, query="target_session_attrs=read-write"))
        async with app(url) as opened:
            assert (await opened.execute(Book("l", "e", 1))).position == 1


class TestAtStart:
    async def test_another_port(self, postgres: str) -> None:
        await refused(changed(postgres, port="1"), StoreUnavailable, "Look whether the server runs")

    async def test_another_host(self, postgres: str) -> None:
        dsn = changed(postgres, host="nowhere.invalid")
        await refused(dsn, StoreUnavailable, "nowhere.invalid.*Look whether the server runs")

    async def test_another_database(self, postgres: str) -> None:
        dsn = changed(postgres, path="/elsewhere")
        await refused(dsn, StoreUnavailable, '"elsewhere" does not exist. Create the database')

    async def test_another_schema(self, postgres: str) -> None:
        dsn = changed(postgres, query="schema=elsewhere")
        async with role(postgres) as poor:
            without = changed(poor, query="schema=elsewhere")
            await refused(
                without, StoreUnavailable, r"\(elsewhere\).*may not create tables.*diptych migrate"
            )
        async with app(dsn) as opened:
            await opened.execute(Book("l", "e", 1))
        assert await sql(postgres, "SELECT count(*) FROM elsewhere.diptych_events") == [(1,)]

    async def test_another_password(self, postgres: str) -> None:
        dsn = changed(postgres, password=PASSWORD)
        await refused(dsn, StoreUnavailable, "Correct user and password in the store's URL")

    async def test_another_user(self, postgres: str) -> None:
        dsn = changed(postgres, user="nobody_here", password=PASSWORD)
        await refused(dsn, StoreUnavailable, "Correct user and password in the store's URL")

    async def test_a_role_that_may_not_log_in(self, postgres: str) -> None:
        async with role(postgres, "NOLOGIN") as dsn:
            await refused(dsn, StoreUnavailable, "not permitted to log in.*let that role log in")

    async def test_a_role_that_may_not_create_tables(self, postgres: str) -> None:
        async with role(postgres) as dsn:
            await refused(dsn, StoreUnavailable, "may not create tables.*diptych migrate")
        assert await sql(postgres, "SELECT to_regclass('diptych_store')") == [(None,)]

    async def test_a_role_that_may_read_but_not_write(self, postgres: str) -> None:
        async with app(postgres) as opened:
            await opened.execute(Book("l", "first", 1))
        async with role(postgres) as dsn:
            name = urlsplit(dsn).username
            await sql(postgres, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
            await refused(dsn, StoreUnavailable, "lacks rights: INSERT, UPDATE, DELETE on.*GRANT")
        assert await sql(postgres, "SELECT count(*) FROM diptych_events") == [(1,)]

    async def test_a_role_with_no_other_right_than_to_the_tables_will_do(
        self, postgres: str
    ) -> None:
        async with app(postgres) as opened:
            await opened.execute(Book("l", "first", 1))
        async with role(postgres) as dsn:
            name = urlsplit(dsn).username
            rights = "SELECT, INSERT, UPDATE, DELETE"
            await sql(postgres, f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {name}")
            async with app(dsn) as opened:
                await opened.execute(Book("l", "second", 1))
                await opened.execute(Book("l", "third", 1))
        assert await sql(postgres, "SELECT count(*) FROM diptych_events") == [(3,)]

    async def test_a_server_that_is_down(self, server: Postgres) -> None:
        server.stop()
        await refused(server.dsn(), StoreUnavailable, "Look whether the server runs there")
        server.start()
        async with app(server.dsn()) as opened:
            await opened.execute(Book("l", "e", 1))

    async def test_an_older_server(self, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of those that the tests have, all are new enough: so the bound is raised."""
        monkeypatch.setattr(preparing, "OLDEST", 990_000)
        await refused(postgres, StoreUnavailable, "too old; 99 is needed. Upgrade the server")
        assert await sql(postgres, "SELECT to_regclass('diptych_store')") == [(None,)]

    async def test_a_newer_store(self, postgres: str) -> None:
        async with app(postgres):
            pass
        await sql(postgres, "UPDATE diptych_store SET format = 99")
        await refused(postgres, ForeignStore, "has store format 99.*or a newer one")

    async def test_another_apps_store(self, postgres: str) -> None:
        async with app(postgres):
            pass
        await sql(postgres, "UPDATE diptych_store SET context = 'orders'")
        await refused(postgres, ForeignStore, "belongs to context 'orders'.*schema of its own")

    async def test_tls_is_asked_for_and_not_there(self, postgres: str) -> None:
        dsn = changed(postgres, query="sslmode=require")
        await refused(dsn, StoreUnavailable, "SSL.*Correct the server's TLS, or sslmode")

    async def test_tls_is_required_by_the_server(self, server: Postgres) -> None:
        rules = server.data / "pg_hba.conf"
        rules.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        server.stop()
        server.start()
        await refused(server.dsn(), StoreUnavailable, r"pg_hba.conf.*\?sslmode=require")

    async def test_a_replica(self, server: Postgres) -> None:
        async with app(server.dsn()) as opened:
            await opened.execute(Book("l", "e", 1))
        await asyncio.to_thread(become_replica, server)
        await refused(server.dsn(), StoreUnavailable, "is a replica.*Name the primary")

    async def test_no_connection_is_left(self, server: Postgres) -> None:
        taken = []
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(server.dsn()))
        await refused(server.dsn(), StoreUnavailable, "Raise the server's max_connections")
        for connection_ in taken:
            await connection_.close()
        async with app(server.dsn()) as opened:
            await opened.execute(Book("l", "e", 1))


class TestDefaultsOfTheUser:
    @pytest.mark.parametrize(
        "setting",
        [
            "default_transaction_isolation = 'serializable'",
            "default_transaction_isolation = 'repeatable read'",
            "default_transaction_read_only = on",
            "default_transaction_deferrable = on",
            "search_path = 'nowhere'",
            "statement_timeout = '5s'",
            "idle_in_transaction_session_timeout = '100ms'",
            "timezone = 'Asia/Kathmandu'",
            "datestyle = 'German'",
            "standard_conforming_strings = off",
            "bytea_output = 'escape'",
        ],
    )
    async def test_change_nothing(self, postgres: str, setting: str) -> None:
        await sql(postgres, f"ALTER DATABASE {urlsplit(postgres).path[1:]} SET {setting}")
        async with app(postgres) as one, app(postgres) as two:
            for n in range(6):
                opened = (one, two)[n // 2 % 2]
                receipt = await opened.execute(Book("l", f"e{n}", 1), id=f"e{n}")
                assert (receipt.position, receipt.version) == (n + 1, n + 1)
                assert await (two, one)[n % 2].execute(Book("l", f"e{n}", 1), id=f"e{n}") == receipt

    async def test_a_statement_timeout_is_named_and_nothing_happens(self, postgres: str) -> None:
        async with app(postgres) as opened:
            await opened.execute(Book("l", "first", 1))
        await sql(
            postgres,
            f"ALTER DATABASE {urlsplit(postgres).path[1:]} SET statement_timeout = '300ms'",
        )
        async with app(postgres) as opened, holding(postgres):
            with pytest.raises(
                StoreUnavailable, match=r"statement timeout.*Raise statement_timeout"
            ):
                await opened.execute(Book("l", "second", 1))
        assert await sql(postgres, "SELECT count(*) FROM diptych_events") == [(1,)]


@asynccontextmanager
async def holding(dsn: str) -> AsyncIterator[None]:
    """Somebody else has the store's lock, and does nothing with it."""
    session = await asyncpg.connect(dsn)
    await session.execute("BEGIN")
    await session.fetch("SELECT pg_advisory_xact_lock($1::int, $2::int)", *address(dsn).lock)
    try:
        yield
    finally:
        await session.close()


class TestWhileItRuns:
    @pytest.mark.parametrize("alone", [True, False], ids=["at once", "under the lock"])
    async def test_a_lock_that_somebody_keeps_is_named_and_nothing_is_lost(
        self, postgres: str, monkeypatch: pytest.MonkeyPatch, alone: bool
    ) -> None:
        monkeypatch.setattr(schema, "LOCK_MS", 300)
        monkeypatch.setattr(connection, "LOCK_MS", 300)
        async with app(postgres) as opened:
            await opened.execute(Book("l", "e0", 1), id="e0")
            if not alone:
                opened._opened.store._opened.writer.remembered = None
            async with holding(postgres):
                calls = [opened.execute(Book("l", f"f{n}", 1), id=f"f{n}") for n in range(5)]
                answers = await asyncio.gather(*calls, return_exceptions=True)
                for answer in answers:
                    assert type(answer) is StoreUnavailable
                    assert "holds the store's lock for too long. Look for a tr" in str(answer)
            before = (await opened.execute(Book("l", "g", 1))).version
            for n in range(5):
                receipt = await opened.execute(Book("l", f"f{n}", 1), id=f"f{n}")
                assert receipt.version == before + 1 + n

    async def test_an_app_that_is_opened_meanwhile_says_so(
        self, postgres: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "LOCK_MS", 300)
        async with holding(postgres):
            await refused(postgres, StoreUnavailable, "holds the store's lock for too long")

    async def test_a_commit_that_cannot_be_sent_fails_alone(self, postgres: str) -> None:
        """What the driver cannot encode is the fault of its commit, not of the connection."""
        async with app(postgres) as opened:
            await opened.execute(Book("l", "first", 1))
            store = opened._opened.store
            bad, good = append("s:1", None), append("s:2", None)
            assert bad.cause is not None
            bad = replace(bad, cause=replace(bad.cause, time=2**70))
            told, happened = await together(store, bad, good)
            assert type(told) is BadResult
            assert type(happened) is Appended

    async def test_every_connection_that_reads_is_in_use(
        self, postgres: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool, "CONNECTING", 0.5)
        monkeypatch.setattr(pool, "MOST", 2)
        async with app(postgres) as opened:
            await opened.execute(Book("l", "e0", 1))
            reads = opened._opened.store._opened.pool
            async with reads.lend(), reads.lend():
                with pytest.raises(StoreUnavailable, match=r"all 2 connections.*answerers"):
                    await opened.log.head()
            assert await opened.log.head() == 1

    async def test_a_database_that_is_dropped(
        self, postgres_databases: Databases, postgres_server: str
    ) -> None:
        dsn = postgres_databases.new()
        async with app(dsn) as opened:
            await opened.execute(Book("l", "e0", 1))
            await sql(postgres_server, f"DROP DATABASE {urlsplit(dsn).path[1:]} WITH (FORCE)")
            with pytest.raises(StoreUnavailable, match=r"does not exist. Create the database"):
                await opened.execute(Book("l", "e1", 1))

    async def test_a_server_that_has_become_a_replica(self, server: Postgres) -> None:
        async with app(server.dsn()) as opened:
            await opened.execute(Book("l", "e0", 1))
            await asyncio.to_thread(become_replica, server)
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match=r"replica now.*Name the primary"):
                    await opened.execute(Book("l", "e1", 1))
            with pytest.raises(StoreUnavailable, match=r"replica now.*Name the primary"):
                await opened.log.head()
