"""A connection of sqlite3 of which one statement fails, as the disk would make it fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Plan:
    """Which statement of the writer's connection fails, counted from when it was armed."""

    def __init__(self) -> None:
        self.statements = 0
        self._places: frozenset[int] = frozenset()
        self._code = sqlite3.SQLITE_OK
        self._rolls_back = False

    def arm(self, *places: int, code: int, rolls_back: bool) -> None:
        """From now on.

        Args:
            places: From 1; none counts only.
            code: Of SQLite's errors.
            rolls_back: Whether SQLite takes the whole transaction back, as it may.
        """
        self.statements = 0
        self._places, self._code, self._rolls_back = frozenset(places), code, rolls_back

    def disarm(self) -> None:
        self._places = frozenset()

    def take(self, connection: Failing, sql: str) -> None:
        """One more statement; raises if it is its turn. SQLite's ROLLBACK always ends it."""
        if sql == "ROLLBACK":
            return
        self.statements += 1
        if self.statements not in self._places:
            return
        if self._rolls_back and connection.in_transaction:
            sqlite3.Connection.execute(connection, "ROLLBACK")
        error = sqlite3.OperationalError("planted: the disk failed")
        error.sqlite_errorcode = self._code
        raise error


class Failing(sqlite3.Connection):
    """Fails where the plan says so, before the statement has done anything."""

    plan: Plan

    def execute(self, *given: Any) -> sqlite3.Cursor:
        self.plan.take(self, given[0])
        return super().execute(*given)

    def executemany(self, *given: Any) -> sqlite3.Cursor:
        self.plan.take(self, given[0])
        return super().executemany(*given)


@contextmanager
def planned() -> Iterator[Plan]:
    """A plan for whichever connection of the engine is opened for writing within."""
    plan, connect = Plan(), sqlite3.connect
    factory = type("Planned", (Failing,), {"plan": plan})

    def opened(database: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        if "mode=rwc" in str(database):
            named["factory"] = factory
        return connect(database, *arguments, **named)

    sqlite3.connect = opened  # type: ignore[assignment]
    try:
        yield plan
    finally:
        sqlite3.connect = connect
