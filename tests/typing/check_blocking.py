"""What type checkers must conclude about calls that block. Checked, never run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, assert_type

from sqlalchemy.orm import Session

import diptych
from diptych import Answer, Principal, Query, Receipt, Recorded
from diptych.blocking import BlockingApp
from free_seats import FreeSeats, ShowingsWithSeats, app
from showing import ReserveSeats


@dataclass(frozen=True)
class HowMany(Query[int]): ...


def entering_gives_the_app_that_blocks() -> None:
    with diptych.sync(app) as blocking:
        assert_type(blocking, BlockingApp)
    with diptych.sync(app, timeout=10) as blocking:
        assert_type(blocking.name, str)


def execute_gives_a_receipt(blocking: BlockingApp, seen: Answer[int]) -> None:
    receipt = blocking.execute(ReserveSeats("s1", 2))
    assert_type(receipt, Receipt)
    assert_type(
        blocking.execute(
            ReserveSeats("s1", 2), id="c1", seen=seen, principal=Principal("clerk"), deadline=None
        ),
        Receipt,
    )
    blocking.execute(ReserveSeats("s1", 2), "c1")  # type: ignore[call-arg]
    blocking.execute(ReserveSeats("s1", 2), ident="c1")  # type: ignore[call-arg]


def a_query_gives_its_own_type(blocking: BlockingApp, receipt: Receipt) -> None:
    assert_type(blocking.ask(ShowingsWithSeats()), list[FreeSeats])
    assert_type(blocking.ask(HowMany(), after=receipt, timeout=1), int)
    blocking.ask("free seats")  # type: ignore[arg-type]


def an_answer_carries_the_type_of_its_value(blocking: BlockingApp) -> None:
    assert_type(blocking.answer(ShowingsWithSeats()), Answer[list[FreeSeats]])
    assert_type(blocking.answer(HowMany()).value, int)


def the_log_is_a_plain_iterator(blocking: BlockingApp) -> None:
    assert_type(blocking.log.read(after=3, stream="showing:s1"), Iterator[Recorded[Any]])
    assert_type(blocking.log.follow(after=3), Iterator[Recorded[Any]])
    assert_type(blocking.log.head(), int)
    blocking.log.read(3)  # type: ignore[call-arg]


def a_session_of_ones_own_is_joined(blocking: BlockingApp, session: Session) -> None:
    with blocking.join(session, principal=Principal("clerk")) as unit:
        assert_type(unit.receipt, Receipt)


def nothing_is_awaited(blocking: BlockingApp) -> None:
    assert_type(blocking.settled(timeout=1), None)
