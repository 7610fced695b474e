"""The tables of views on PostgreSQL: how they are made, written and read by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diptych.adapters.postgres.connection import Executes
from diptych.log.commit import Rows
from diptych.log.inline import Key
from diptych.read.port import Shape


class ViewTable:
    """One version of a view as a table."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def rows(self, upserts: Sequence[Any], deletes: Sequence[Key]) -> Rows:
        """What a commit should write."""
        raise NotImplementedError

    async def read(self, connection: Executes, keys: Sequence[Key]) -> Mapping[Key, Any]:
        """The rows of these keys that exist, in one statement."""
        raise NotImplementedError


async def write_rows(connection: Executes, schema: str, rows: Rows) -> None:
    """Writes one commit's rows of one table, in one statement for each kind."""
    raise NotImplementedError
