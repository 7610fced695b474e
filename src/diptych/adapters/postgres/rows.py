"""Rows of the users' own tables that keep states: read, compared and written in few statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from diptych.adapters.postgres.connection import Executes
from diptych.adapters.states import Change
from diptych.log.commit import StateRow


async def differing(connection: Executes, rows: Sequence[StateRow]) -> set[int]:
    """Places of those that are not in the database as the decision knew them."""
    raise NotImplementedError


async def write_changes(connection: Executes, changes: Iterable[Change]) -> None:
    """Writes what became of rows, each kind of change in one statement."""
    for _ in changes:
        raise NotImplementedError
