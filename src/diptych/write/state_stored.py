"""A model whose truth is a row of an ordinary table: row and events commit together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from diptych.errors import WiringError
from diptych.log.messages import message_type
from diptych.log.names import OPTIONAL
from diptych.routing import Functions, name_of
from diptych.write.decider import Decider
from diptych.write.event_sourced import Key, Keyed, Merge

S = TypeVar("S")
R = TypeVar("R")

_KEY_TYPES = {"str": "str", "int": "int", "uuid": "UUID"}
"""By the stored form of a field, the name of its type in Python."""


class Rows(Generic[S, R]):
    """How a state is kept as one row of a mapped table, found by its primary key.

    Args:
        row: A class mapped by SQLAlchemy, without relationships; its primary key is one column,
            the key of the commands.
        to_state: `to_state(row) -> state`. Where there is no row, the decider's initial state is.
        to_row: `to_row(key, state) -> row`, with the columns to be written; those that it does not
            set keep what they have. None removes the row.
    """

    def __init__(
        self,
        row: type[R],
        *,
        to_state: Callable[[R], S],
        to_row: Callable[[Any, S], R | None],
    ) -> None:
        self.row = row
        self.to_state = to_state
        self.to_row = to_row

    def __repr__(self) -> str:
        return f"Rows({self.row.__name__})"


class StateStored(Keyed[S]):
    """Keeps a decider's state as a row; its events go to the stream `name:key` as well.

    A decision is made on the row as it is in the transaction that commits it, whoever wrote it: a
    row that another program changes in between is decided upon again.

    Args:
        name: Of the model; the first part of its streams' names.
        key: Field of each command that is the row's primary key, or a function of the command.
        rows: The table, and what its rows mean.
        keys: Where a command has another key.
        merge: With `seen=`, whether a command may go on although it has not seen these events.
        prepare: `prepare(command) -> command`, pure: normalises a command before it is decided.
        owned: Nobody but this model writes the table, so its rows are not compared again when they
            are written. If that is not so, what others wrote is lost.

    Raises:
        WiringError: A malformed name, a command without the key's field, or an evolve that asks for
            `Recorded`.
    """

    kind = "state-stored"

    def __init__(
        self,
        name: str,
        decider: Decider[S],
        *,
        key: Key,
        rows: Rows[S, Any],
        keys: Mapping[type, Key] | None = None,
        merge: Merge | None = None,
        prepare: Functions | None = None,
        owned: bool = False,
    ) -> None:
        super().__init__(name, decider, key=key, keys=keys, merge=merge, prepare=prepare)
        self.rows = rows
        self.owned = owned
        fields = {type_: (keys or {}).get(type_, key) for type_ in decider.decides}
        self.key_types = {
            type_: None if callable(field) else _field_type(type_, field)
            for type_, field in fields.items()
        }
        """By command, the name of its key's type; None where that cannot be told."""
        for route in decider.evolves.values():
            if route.wants_facts:
                raise WiringError(
                    f"{name}: {name_of(route.function)} asks for Recorded, whose position is known "
                    "after the commit only, but the row is written with it. Take what it needs "
                    "from the event, or keep the model EventSourced."
                )


def _field_type(type_: type, field: str) -> str | None:
    shape = message_type(type_, type_.__name__).shape().get(field, "")
    return _KEY_TYPES.get(shape.rstrip(OPTIONAL))
