"""Rows that keep states, while a group of commits is judged: each as the commits before it leave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from diptych.log.commit import StateRow, StateTable
from diptych.log.rows import Values

ByPuts: TypeAlias = dict[tuple[int, ...], list[Values]]
"""Rows by which of their columns are written."""


class Change:
    """What becomes of one table; each row once.

    Attributes:
        deletes: Keys.
        inserts: The written columns.
        updates: The key, then the written columns.
    """

    def __init__(self, table: StateTable) -> None:
        self.table = table
        self.deletes: list[Any] = []
        self.inserts: ByPuts = {}
        self.updates: ByPuts = {}


class _State:
    """A row in the database, and as the commits so far leave it."""

    __slots__ = ("existed", "key", "puts", "renewed", "table", "values", "whole")

    def __init__(self, row: StateRow) -> None:
        self.table = row.table
        self.key = row.key
        self.existed = row.stood is not None
        self.renewed = not self.existed
        """What was there, if anything, has gone: what is written now begins anew."""
        self.values = row.stood
        self.puts: tuple[int, ...] = ()
        self.whole = True

    def take(self, row: StateRow) -> None:
        if row.becomes is None:
            self.renewed = True
            self.puts = ()
        elif row.puts and row.puts != self.puts:
            self.puts = tuple(sorted({*self.puts, *row.puts}))
        self.values = row.becomes
        self.whole = row.whole


class States:
    """What a group's commits have made of rows.

    Args:
        stands: Whether a row is in the database as a decision knew it.
    """

    def __init__(self, stands: Callable[[StateRow], bool]) -> None:
        self._stands = stands
        self._states: dict[tuple[str, Any], _State] = {}

    def hold(self, row: StateRow) -> bool:
        """Whether a row is as the decision knew it."""
        state = self._states.get((row.table.name, row.key))
        if state is None:
            return row.trusted or self._stands(row)
        return state.table == row.table and state.whole and state.values == row.stood

    def take(self, row: StateRow) -> None:
        """The commit happens."""
        key = (row.table.name, row.key)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State(row)
        state.take(row)

    def changes(self) -> list[Change]:
        """What is to be written."""
        changes: dict[StateTable, Change] = {}
        for state in self._states.values():
            change = changes.get(state.table)
            if change is None:
                change = changes[state.table] = Change(state.table)
            if state.existed and state.renewed:
                change.deletes.append(state.key)
            if state.values is None or not state.puts:
                continue
            written = tuple([state.values[place] for place in state.puts])
            if state.renewed:
                change.inserts.setdefault(state.puts, []).append(written)
            else:
                change.updates.setdefault(state.puts, []).append((state.key, *written))
        return list(changes.values())
