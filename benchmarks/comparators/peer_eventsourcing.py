# pyright: basic
# The peers are typed loosely; nothing here is built upon.
"""Peer: eventsourcing 9.5.x in its safe default mode; its SQLite connections are WAL and FULL.

On PostgreSQL where the row has a database: 16 connections and 4 more, as many as help it.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking, TrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteTrackingRecorder
from eventsourcing.utils import get_topic

from benchmarks.comparators.payload import NOTE, REFERENCE
from benchmarks.durability import SYNCHRONOUS, demand_synchronous, durability
from benchmarks.measuring import Measure, Measured, Settings, median


class Account(Aggregate):
    def __init__(self, owner: str, note: str) -> None:
        self.owner, self.note, self.balance = owner, note, 0

    @event("Deposited")
    def deposit(self, amount: int, currency: str, note: str, reference: str) -> None:
        self.balance += amount


class Bank(Application[UUID]):
    pass


def environment_of(settings: Settings) -> dict[str, str]:
    """Of an application on the row's store."""
    if settings.postgres:
        found = urlsplit(settings.postgres)
        return {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": found.path[1:],
            "POSTGRES_HOST": found.hostname or "127.0.0.1",
            "POSTGRES_PORT": str(found.port or 5432),
            "POSTGRES_USER": found.username or "",
            "POSTGRES_PASSWORD": found.password or "",
            "POSTGRES_POOL_SIZE": "16",
            "POSTGRES_MAX_OVERFLOW": "4",
        }
    return {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(settings.fresh("es") / "es.db"),
    }


def assert_synchronous(app: Any) -> None:
    """Raises unless a connection of its pool waits for the disk."""
    with app.factory.datastore.get_connection() as connection:
        rows = connection.execute(SYNCHRONOUS).fetchall()
    demand_synchronous({row["name"]: row["setting"] for row in rows})


def _assert_durable(settings: Settings, app: Any) -> None:
    if settings.postgres:
        assert_synchronous(app)
    else:
        durability.assert_full()


def _seeded(app: Bank, accounts: int) -> list[UUID]:
    ids: list[UUID] = []
    for i in range(accounts):
        account = Account(owner=f"o{i}", note=NOTE)
        for _ in range(9):
            account.deposit(amount=1, currency="EUR", note=NOTE, reference=REFERENCE)
        app.save(account)
        ids.append(account.id)
    return ids


def update(threads: int, *, memory: bool = False, contended: bool = False) -> Measure:
    """Load 10+ events, one method, save; threads own disjoint aggregates, so that none conflict.

    Args:
        contended: All threads have one aggregate: who conflicts loads and saves again.
    """

    def measure(settings: Settings) -> Measured:
        accounts = settings.size(400, 64)
        environment = {"PERSISTENCE_MODULE": "eventsourcing.popo"}
        if not memory:
            environment = environment_of(settings)
        with Bank(environment) as app:
            ids = _seeded(app, accounts)
            done = [0] * threads
            failed = [0] * threads
            start = time.perf_counter()
            end = start + settings.seconds

            def work(thread: int) -> None:
                own = ids[:1] if contended else ids[thread::threads]
                while time.perf_counter() < end:
                    try:
                        account: Any = app.repository.get(own[done[thread] % len(own)])
                        account.deposit(amount=1, currency="EUR", note=NOTE, reference=REFERENCE)
                        app.save(account)
                    except Exception:
                        failed[thread] += 1
                    else:
                        done[thread] += 1

            if threads == 1:
                work(0)
            else:
                workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
            took = time.perf_counter() - start
            if not memory:
                _assert_durable(settings, app)
            more = {"failed": sum(failed)}
            if memory:
                return Measured(took / sum(done) * 1e6, more)
            return Measured(sum(done) / took, more)

    return measure


class _Mark:
    """Says when the view has taken in the event that a measurement waits for."""

    def __init__(self) -> None:
        self.target = 0
        self.when = 0.0
        self.reached = threading.Event()

    def wait_for(self, target: int) -> None:
        self.reached.clear()
        self.target = target

    def at(self, position: int) -> None:
        if position >= self.target:
            self.when = time.perf_counter()
            self.reached.set()


mark = _Mark()


class View(TrackingRecorder):
    def add(self, account_id: UUID, amount: int, tracking: Tracking) -> None: ...


class SqliteView(SQLiteTrackingRecorder, View):
    """The library's own pattern: row and tracking in one transaction per event."""

    def construct_create_table_statements(self) -> list[str]:
        mine = "create table if not exists acc_view(id text primary key, total int)"
        return [*super().construct_create_table_statements(), mine]

    def add(self, account_id: UUID, amount: int, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "insert into acc_view values(?,?) "
                "on conflict(id) do update set total=total+excluded.total",
                (account_id.hex, amount),
            )
        mark.at(tracking.notification_id)


def _postgres_view() -> type[View]:
    """The same on PostgreSQL; psycopg is loaded for it."""
    from eventsourcing.postgres import PostgresTrackingRecorder
    from psycopg.sql import SQL, Identifier

    class PostgresView(PostgresTrackingRecorder, View):
        def __init__(self, datastore: Any, **named: Any) -> None:
            super().__init__(datastore, **named)
            mine = "create table if not exists {0}.acc_view(id uuid primary key, total bigint)"
            self.sql_create_statements.append(SQL(mine).format(Identifier(self.datastore.schema)))

        def add(self, account_id: UUID, amount: int, tracking: Tracking) -> None:
            with self.datastore.transaction(commit=True) as cursor:
                self._insert_tracking(cursor, tracking)
                cursor.execute(
                    "insert into acc_view values(%s,%s) "
                    "on conflict(id) do update set total=acc_view.total+excluded.total",
                    (account_id, amount),
                    prepare=True,
                )
            mark.at(tracking.notification_id)

    return PostgresView


class Totals(Projection[View]):
    name = "accview"
    topics = (get_topic(Account.Created), get_topic(Account.Deposited))  # type: ignore[attr-defined]

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, domain_event: Account.Created, tracking: Tracking) -> None:
        self.view.add(domain_event.originator_id, 0, tracking)

    @process_event.register
    def _(self, domain_event: Account.Deposited, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.add(domain_event.originator_id, domain_event.amount, tracking)


def _runner(settings: Settings) -> ProjectionRunner[Any, Any]:
    view: type[View] = SqliteView
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.popo",
        "ACCVIEW_PERSISTENCE_MODULE": "eventsourcing.sqlite",
    }
    if settings.postgres:
        view, environment = _postgres_view(), environment_of(settings)
    else:
        environment["ACCVIEW_SQLITE_DBNAME"] = str(settings.fresh("es") / "v.db")
    return ProjectionRunner(
        application_class=Bank, projection_class=Totals, view_class=view, env=environment
    )


def projection(settings: Settings) -> Measured:
    """Events in memory, the view on SQLite, one transaction per event.

    On PostgreSQL the events are written before the runner starts.
    """
    accounts = settings.size(150 if settings.postgres else 250, 20)
    mark.wait_for(accounts * 10)
    if settings.postgres:
        with Bank(environment_of(settings)) as app:
            _seeded(app, accounts)
        start = time.perf_counter()
    with _runner(settings) as runner:
        if not settings.postgres:
            start = time.perf_counter()
            _seeded(runner.app, accounts)
        if not mark.reached.wait(60):
            raise RuntimeError("the projection did not arrive within 60 s")
        _assert_durable(settings, runner.app)
        return Measured(accounts * 10 / (mark.when - start))


def save_and_wait(settings: Settings) -> Measured:
    """p50 in ms from before save to the return of `wait()`, the library's read-your-own-write."""
    waits: list[float] = []
    with _runner(settings) as runner:
        mark.wait_for(10**9)
        for _ in range(settings.size(15, 3)):
            start = time.perf_counter()
            recorded = runner.app.save(Account(owner="o", note=NOTE))
            runner.wait(recorded[-1].notification.id, timeout=5)
            waits.append((time.perf_counter() - start) * 1e3)
        _assert_durable(settings, runner.app)
    return Measured(median(waits))
