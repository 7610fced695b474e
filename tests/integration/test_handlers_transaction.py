"""A handler cannot end its transaction, and nothing of it happens outside of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from diptych import App, Handlers, Receipt, Refused
from diptych.errors import DiptychError, NestedCall
from tests.integration.other_program import look
from tests.integration.shop import (
    Article,
    Base,
    Deliver,
    Delivered,
    Misbehave,
    TakeOne,
    deliver,
    shop,
    take_one,
)

TAKE_ALL = "UPDATE articles SET stock = 0"

Ending = Callable[[], list[Delivered]]


def _give() -> list[Delivered]:
    return [Delivered("tea", 0, 0)]


def _raise() -> list[Delivered]:
    raise LookupError("no article")


def _refuse() -> list[Delivered]:
    raise Refused("no", "not today")


def escaping(statements: Sequence[str], ending: Ending) -> Handlers:
    """Runs the statements whatever comes of each, and ends so."""

    async def escape(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        for statement in statements:
            with suppress(Exception):
                await session.execute(text(statement))
        return ending()

    return Handlers("shop", [deliver, take_one, escape], key="sku", tables=Base.metadata)


def left(url: str) -> tuple[Any, ...]:
    """Stock, number of events, and ids of the outcomes."""
    ((stock,),) = look(url, "SELECT stock FROM articles")
    ((events,),) = look(url, "SELECT count(*) FROM diptych_events")
    ids = look(url, "SELECT id FROM diptych_outcomes ORDER BY time")
    return stock, events, [id for (id,) in ids]


async def tried(app: App) -> Receipt | Exception:
    try:
        return await app.execute(Misbehave("tea", "escape"), id="escape")
    except (LookupError, DiptychError) as error:
        return error


@pytest.mark.parametrize("ending", [_give, _raise, _refuse])
@pytest.mark.parametrize(
    "statements",
    [
        (TAKE_ALL, "COMMIT"),
        ("COMMIT", TAKE_ALL),
        (TAKE_ALL, "/* so */ -- or so\n ; end transaction"),
        ("ROLLBACK", TAKE_ALL),
        ("rollback transaction", TAKE_ALL),
        ("INSERT OR ROLLBACK INTO articles VALUES ('tea', 1)", TAKE_ALL),
        (TAKE_ALL, "INSERT OR ROLLBACK INTO articles VALUES ('tea', 1)"),
        (TAKE_ALL, "ABORT"),
        ("COMMIT AND CHAIN", TAKE_ALL),
        (TAKE_ALL, "PREPARE TRANSACTION 'x'"),
        (TAKE_ALL, "RELEASE diptych"),
        (TAKE_ALL, "ROLLBACK TO diptych", "RELEASE diptych"),
    ],
    ids=lambda statements: "; ".join(statements),
)
async def test_a_handler_that_ends_the_transaction_by_a_statement_leaves_nothing(
    database: str, statements: Sequence[str], ending: Ending
) -> None:
    async with shop(database, write=[escaping(statements, ending)]) as app:
        await app.execute(Deliver("tea", 2), id="deliver")
        outcome = await tried(app)
        ids = ["deliver"]
        match outcome:
            case Receipt():  # whatever it did, its transaction was still there
                assert left(database)[1:] == (2, ["deliver", "escape"])
                ids.append("escape")
            case Refused():
                assert left(database) == (2, 1, ["deliver", "escape"])
                ids.append("escape")
            case _:
                assert left(database) == (2, 1, ["deliver"])
        if not any("diptych" in statement for statement in statements):
            assert not isinstance(outcome, Receipt)
        await app.execute(Deliver("tea", 1), id="next")
        assert left(database)[2] == [*ids, "next"]


async def test_who_rolls_back_by_hand_and_refuses_has_refused(database: str) -> None:

    async def again(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        session.add(Article(sku=command.sku, stock=100))
        try:
            await session.flush()
        except IntegrityError:
            await session.rollback()
            raise Refused("there_already", command.sku) from None
        return []

    handlers = Handlers("shop", [deliver, take_one, again], key="sku", tables=Base.metadata)
    async with shop(database, write=[handlers]) as app:
        await app.execute(Deliver("tea", 2), id="deliver")
        for id in (None, "again", "again"):
            with pytest.raises(Refused, match="tea"):
                await app.execute(Misbehave("tea", ""), id=id)
        assert left(database) == (2, 1, ["deliver", "again"])
        await app.execute(TakeOne("tea"))


async def test_a_join_inside_a_handler_is_nested_whosever_session_it_is(database: str) -> None:

    async def joining(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        async with app.join(session) as unit:
            unit.record(Delivered("tea", 1, 1), stream="shop:tea")
        return []

    handlers = Handlers("shop", [deliver, joining], key="sku", tables=Base.metadata)
    async with shop(database, write=[handlers]) as app:
        await app.execute(Deliver("tea", 2), id="deliver")
        with pytest.raises(NestedCall):
            await app.execute(Misbehave("tea", ""))
        await app.execute(Deliver("tea", 1), id="next")
        assert left(database) == (3, 2, ["deliver", "next"])
