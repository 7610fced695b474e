"""Rows within a group: judged one after another, written once, and the same comes out."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.adapters.sqlite.connection import connect
from diptych.adapters.sqlite.rows import differing, read_rows, write_changes
from diptych.adapters.sqlite.schema import TABLES
from diptych.adapters.states import States
from diptych.log.commit import StateRow, StateTable
from diptych.log.rows import Values

TABLE = StateTable("things", ("id", "a", "b"), "id")
CREATE = "CREATE TABLE things (id TEXT PRIMARY KEY, a INTEGER, b INTEGER DEFAULT 77) STRICT"

KEYS = ("x", "y", "z")
numbers = st.integers(0, 3)
rows = st.fixed_dictionaries({}, optional={key: st.tuples(numbers, numbers) for key in KEYS})
steps = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from(["right", "right", "right", "wrong", "absent"]),
        st.one_of(st.none(), st.tuples(numbers, numbers)),
        st.sampled_from([(1,), (2,), (1, 2)]),
    ),
    max_size=25,
)


class OneByOne:
    """A table that each change is written into at once."""

    def __init__(self, table: dict[str, tuple[int, int]]) -> None:
        self.rows: dict[str, Values] = {key: (key, *values) for key, values in table.items()}
        self.untold: set[str] = set()

    def change(
        self, key: str, stands: str, wanted: tuple[int, int] | None, puts: tuple[int, ...]
    ) -> StateRow:
        """What a decision might say: on the row that is there, on another one, on none."""
        there = self.rows.get(key)
        stood = {"right": there, "wrong": (key, 8, 8), "absent": None}[stands]
        if wanted is None:
            return StateRow(table=TABLE, key=key, stood=stood, becomes=None)
        written = (key, *wanted)
        if stood is None:  # what an INSERT leaves out, the database fills in: nobody knows it yet
            becomes = tuple(written[n] if n in (0, *puts) else None for n in range(3))
            return StateRow(
                table=TABLE,
                key=key,
                stood=None,
                becomes=becomes,
                puts=(0, *puts),
                whole=2 in puts,
            )
        becomes = tuple(written[n] if n in puts else stood[n] for n in range(3))
        if becomes == stood:
            puts = ()
        return StateRow(table=TABLE, key=key, stood=stood, becomes=becomes, puts=puts)

    def take(self, row: StateRow) -> bool:
        if self.rows.get(row.key) != row.stood or row.key in self.untold:
            return False
        if row.becomes is None:
            self.rows.pop(row.key, None)
        elif row.whole:
            self.rows[row.key] = row.becomes
        else:
            self.rows[row.key] = (*row.becomes[:2], 77)
            self.untold.add(row.key)
        return True


@given(table=rows, steps=steps)
@settings(max_examples=300, deadline=None)
def test_a_group_leaves_what_its_commits_would_leave_one_by_one(
    table: dict[str, tuple[int, int]], steps: list[Any]
) -> None:
    oracle = OneByOne(table)
    connection = connect(None, read_only=False)
    for statement in [*TABLES.split(";\n"), CREATE]:
        connection.execute(statement)
    for values in oracle.rows.values():
        connection.execute("INSERT INTO things VALUES (?, ?, ?)", values)
    states = States(lambda row: not differing(connection, [row]))
    for step in steps:
        row = oracle.change(*step)
        held = states.hold(row)
        assert held == oracle.take(row)
        if held:
            states.take(row)
    write_changes(connection, states.changes())
    found = read_rows(connection, [("", "s", TABLE, key) for key in KEYS])
    assert [values for _, values in found] == [oracle.rows.get(key) for key in KEYS]
    connection.close()


def test_rows_that_did_not_change_are_not_written() -> None:
    states = States(lambda _: True)
    states.take(StateRow(table=TABLE, key="x", stood=("x", 1, 1), becomes=("x", 1, 1)))
    states.take(StateRow(table=TABLE, key="y", stood=None, becomes=None))
    (change,) = states.changes()
    assert (change.deletes, change.inserts, change.updates) == ([], {}, {})


def test_a_table_seen_with_other_columns_is_not_the_same_row() -> None:
    """Two classes may map one table; neither knows what the other's decision makes of its columns."""
    other = StateTable("things", ("id", "b", "c"), "id")
    states = States(lambda _: True)
    states.take(StateRow(table=TABLE, key="x", stood=("x", 1, 1), becomes=("x", 2, 2), puts=(1, 2)))
    for trusted in (False, True):
        row = StateRow(
            table=other, key="x", stood=("x", 2, 2), becomes=("x", 3, 2), puts=(1,), trusted=trusted
        )
        assert not states.hold(row)
