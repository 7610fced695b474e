"""The ground of state-stored models: the row of each key, and the tip that it will be.

A row is remembered, but only as a guess: the commit says which row it stood on, and the store
compares that under the lock with what is there. So a decision on another program's row, or on one
that is no more, is never kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.errors import InvalidMessage, WiringError
from diptych.log.codec import EventCodec
from diptych.log.commit import (
    Append,
    Appended,
    Cause,
    Committed,
    Condition,
    NewEvent,
    Settled,
    StateRow,
)
from diptych.log.port import Store
from diptych.log.rows import KeepsRows, RowMapping, Values
from diptych.write.state_stored import StateStored
from diptych.write.stream_ground import Stream, StreamGround, StreamStanding


class _Row:
    """A row, and the state that it keeps, told when it is first asked for."""

    __slots__ = ("known", "state", "values")

    def __init__(self, values: Values | None) -> None:
        self.values = values
        self.known = False
        self.state: Any = None


class RowGround(StreamGround):
    """Keeps the rows of one model, each with the version of its stream.

    Raises:
        WiringError: The store keeps no rows, or they cannot be found by the commands' keys.
    """

    def __init__(self, model: StateStored[Any], codec: EventCodec, store: Store, size: int) -> None:
        super().__init__(model, codec, store, size)
        if not isinstance(store, KeepsRows):
            raise WiringError(
                f"{model!r} keeps rows in a database, which this store is not. "
                "Use store='sqlite:///file.db' or 'postgresql://…', or 'sqlite://' for one in memory."
            )
        self.owned = model.owned
        self._rows: KeepsRows = store
        self._kept = model.rows
        self.mapping: RowMapping = store.map_row(model.rows.row)
        self._keys = model.key
        _refuse_misfit(model, self.mapping)

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> StreamStanding:
        self._refuse_tenant(tenant, command)
        return await super().stand(tenant, command, alone=alone)

    def _standing(self, found: Stream, command: Any, *, read: bool) -> StreamStanding:
        key = self._keys(command)
        return RowStanding(
            self, found, key, self._row_key(command, key), guess=not (read or self.owned)
        )

    async def _committed(self, found: Stream, command: Any) -> tuple[Any, int]:
        tenant, stream = found.key
        key = self._row_key(command, self._keys(command))
        version, values = await self._rows.read_row(tenant, stream, self.mapping.table, key)
        return _Row(values), version

    def state(self, row: _Row) -> Any:
        """What a row means."""
        if not row.known:
            if row.values is None:
                row.state = self._model.decider.initial
            else:
                row.state = self._kept.to_state(self.mapping.load(row.values))
            row.known = True
        return row.state

    def change(self, key: Any, row_key: Any, row: _Row, events: Sequence[Any]) -> StateRow | None:
        """What events make of a row; None where nothing is to be said of it."""
        if not events:
            values = row.values
            table = self.mapping.table
            return (
                None
                if self.owned
                else StateRow(table=table, key=row_key, stood=values, becomes=values)
            )
        state = self.state(row)
        for event in events:
            state = self.evolves[event.__class__].function(state, event)
        return self.mapping.change(
            row_key, row.values, self._kept.to_row(key, state), trusted=self.owned
        )

    def _row_key(self, command: Any, key: Any) -> Any:
        try:
            return self.mapping.key(key)
        except ValueError as error:
            raise InvalidMessage(type(command).__name__, "", f"its key {key!r} {error}") from None

    def _refuse_tenant(self, tenant: str, command: Any) -> None:
        """Rows have no tenant: all tenants would share them."""
        if tenant:
            raise InvalidMessage(
                type(command).__name__,
                "principal",
                f"its tenant {tenant!r} has no rows of its own in {self.mapping.table.name!r}",
            )


class RowStanding(StreamStanding):
    """A decision on one row's tip."""

    __slots__ = ("_change", "_key", "_row_key", "_rows", "guess")

    def __init__(
        self, ground: RowGround, found: Stream, key: Any, row_key: Any, *, guess: bool
    ) -> None:
        super().__init__(ground, found)
        self.guess = guess
        self._rows = ground
        self._key = key
        self._row_key = row_key
        self._change: StateRow | None = None

    @property
    def state(self) -> Any:
        return self._rows.state(self._tip)

    def expectations(
        self, events: Sequence[Any], new: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        change = self._rows.change(self._key, self._row_key, self._tip, events)
        self._change = change
        return (Append(self.stream, self._version, new, self._upon, change),), None

    def sent(self, cause: Cause, events: Sequence[Any], new: tuple[NewEvent, ...]) -> None:
        change = self._change
        if change is None or not (change.puts or change.becomes is None):
            after = self._tip
        else:
            after = _Row(change.becomes)
        self._fly(cause, events, new, after)
        if change is not None and not change.whole:
            self._found.fresh = False  # what the database fills in is read when it has landed

    def arrived(self, committed: Committed | None) -> None:
        if self._cause is None:  # nobody stands on it, so what is on its way may arrive first
            if not isinstance(committed, Appended | Settled) and self._is_current():
                self._found.fresh = False
            return
        super().arrived(committed)


def _refuse_misfit(model: StateStored[Any], mapping: RowMapping) -> None:
    """The commands' keys must be the rows' primary keys.

    Raises:
        WiringError: One of them is of another type.
    """
    wanted = mapping.key_type
    if wanted is None:
        return
    column = f"{mapping.table.name}.{mapping.table.key}"
    if wanted.__name__ not in ("str", "int", "UUID"):
        raise WiringError(
            f"{model!r}: {column} keeps {wanted.__name__}, but a key is a str, int or UUID. "
            "Give the table a primary key of one of these."
        )
    for command, found in model.key_types.items():
        if found is not None and found != wanted.__name__:
            raise WiringError(
                f"{model!r}: the key of {command.__name__} is {found}, but {column} keeps "
                f"{wanted.__name__}. Annotate the field so, or convert it: "
                f"keys={{{command.__name__}: function}}."
            )
