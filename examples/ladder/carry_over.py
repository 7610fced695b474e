"""Rows become events, once, before rung 7 goes on with what rung 6 has kept."""

import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from diptych import StreamConflict
from rung_6 import FILE, Copy
from rung_7 import CopyCarriedOver, app


async def carry_over() -> None:
    """May be run again: a copy that has been carried over is left alone."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{FILE}")
    sessions = async_sessionmaker(engine)
    async with sessions() as session:
        copies = (await session.scalars(select(Copy.copy_id))).all()
    async with app:
        for copy_id in copies:
            try:
                async with sessions.begin() as session, app.join(session) as unit:
                    copy = await session.get_one(Copy, copy_id)
                    event = CopyCarriedOver(copy_id, copy.title, copy.reader)
                    unit.record(event, stream=f"loan:{copy_id}", expected=0)
            except StreamConflict:
                pass  # it was carried over before
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(carry_over())
