"""SQLAlchemy's statements, executed in a transaction of the engine's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.adapters.postgres.connection import Connection


async def execute(connection: Connection, statements: Sequence[Any]) -> None:
    """Executes them in order."""
    raise NotImplementedError
