"""What tests say to a server themselves, past the engine: each time on a connection of its own."""

from __future__ import annotations

from typing import Any

import asyncpg


async def sql(dsn: str, *statements: str) -> list[Any]:
    """What the last one gives."""
    session = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await session.execute(statement)
        return [tuple(row) for row in await session.fetch(statements[-1])]
    finally:
        await session.close()


async def execute(dsn: str, script: str) -> None:
    """Runs statements that give nothing."""
    session = await asyncpg.connect(dsn)
    try:
        await session.execute(script)
    finally:
        await session.close()
