"""The same history gives the same rows: in every store, in batches of any size, restarted anywhere."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import insert as upsert

from diptych import App, Projection, Query, Refused, View, Views, replica
from diptych.read import projecting
from diptych.subscription import runner
from tests.integration.pots import (
    Added,
    Book,
    Booked,
    Pot,
    Put,
    Removed,
    Take,
    Total,
    bank,
    file_url,
    pots,
)
from tests.integration.test_views import BookedNight, Night, by_night, not_empty, one_more

pot_names = st.sampled_from(("a", "b", "c"))
amounts = st.integers(1, 3)
nights = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(tuple)
histories = st.lists(
    st.one_of(
        st.builds(Put, pot_names, amounts),
        st.builds(Take, pot_names, amounts),
        st.builds(Book, st.sampled_from(("x", "y")), nights),
    ),
    max_size=30,
)

metadata = sa.MetaData()
moved = sa.Table(
    "moved",
    metadata,
    sa.Column("pot", sa.Text, primary_key=True),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("last", sa.Integer, nullable=False),
)


def move(event: Added | Removed) -> list[Any]:
    statement = upsert(moved).values(pot=event.pot, times=1, last=event.amount)
    later = {"times": moved.c.times + 1, "last": event.amount}
    return [statement.on_conflict_do_update(index_elements=["pot"], set_=later)]


@dataclass(frozen=True)
class Shown(Query[Any]): ...


async def shown(query: Shown, views: Views) -> Any:
    rows = [
        sorted(await views.all(row), key=repr)  # type: ignore[arg-type]
        for row in (Total, Night, Pot)
    ]
    return [*rows, {pot: await views.get(Pot, pot) for pot in "abc"}]


@dataclass(frozen=True)
class Moves(Query[Any]): ...


@dataclass(frozen=True)
class Move:
    pot: str
    times: int
    last: int


async def moves(query: Moves, views: Views) -> list[Move]:
    return await views.all(Move, sa.select(moved).order_by(moved.c.pot))


def views_in(place: str | None) -> list[View[Any]]:
    keys: dict[type, Any] = {BookedNight: ("house", "number")}
    night = View(Night, one_more, key=("house", "night"), keys=keys, split=[by_night], store=place)
    return [
        View(Total, not_empty, key="pot", store=place),
        night,
        replica(pots, store=place),
    ]


def opened(log: str, place: str | None) -> App:
    read: list[Any] = [*views_in(place)]
    answer: list[Any] = [shown]
    if place != "memory://":
        read.append(Projection("moves", move, tables=metadata, store=place))
        answer.append(moves)
    return bank(log, read=read, answer=answer)


async def write(log: str, history: Sequence[Any]) -> list[Any]:
    """Carries the history out; what the views must show is folded here, event by event."""
    total, night, state = views_in(None)
    rows: dict[View[Any], dict[Any, Any]] = {total: {}, night: {}, state: {}}
    expected: dict[str, Move] = {}
    async with bank(log, read=[], answer=[]) as app:
        for command in history:
            with suppress(Refused):
                await app.execute(command)
        async for recorded in app.log.read():
            event = recorded.event
            for view in rows:
                if type(event) in view.events:
                    view.fold(rows[view], view.steps(event, recorded))
            if not isinstance(event, Booked):
                before = expected.get(event.pot)
                times = 1 + (before.times if before else 0)
                expected[event.pot] = Move(event.pot, times, event.amount)
    states = {key[0]: kept.row for key, kept in rows[state].items()}
    return [
        sorted((row for row in rows[total].values() if row is not None), key=repr),
        sorted(rows[night].values(), key=repr),
        sorted(states.values(), key=repr),
        {pot: states.get(pot) for pot in "abc"},
        [expected[pot] for pot in sorted(expected)],
    ]


schemas = itertools.count()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    history=histories,
    batch=st.integers(1, 12),
    cut=st.lists(st.integers(0, 60), max_size=3),
)
async def test_every_store_shows_what_the_folds_say(
    postgres: str, history: list[Any], batch: int, cut: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = file_url(Path(folder) / "log.db")
        *rows, statements = await write(log, history)
        before = runner.BATCH, projecting.STATEMENTS_OF
        runner.BATCH, projecting.STATEMENTS_OF = batch, max(1, batch // 2)
        try:
            in_file = file_url(Path(folder) / "views.db")
            there = f"{postgres}?schema=views_{next(schemas)}"
            for place in (None, "memory://", "sqlite://", in_file, there):
                for turns in cut:  # the app is left after so many turns of the loop
                    async with opened(log, place):
                        for _ in range(turns):
                            await asyncio.sleep(0)
                async with opened(log, place) as app:
                    await app.settled()
                    assert await app.ask(Shown()) == rows, place
                    if place != "memory://":
                        assert await app.ask(Moves()) == statements, place
        finally:
            runner.BATCH, projecting.STATEMENTS_OF = before
