"""What type checkers must conclude about questions and answers. Checked, never run."""

from dataclasses import dataclass
from typing import assert_type

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from diptych import Answer, App, Query, Receipt, Views
from free_seats import FreeSeats, ShowingsWithSeats, app


@dataclass(frozen=True)
class HowMany(Query[int]): ...


@dataclass(frozen=True)
class Nearest(Query[FreeSeats | None]):
    showing_id: str


async def a_query_gives_its_own_type(app: App) -> None:
    assert_type(await app.ask(ShowingsWithSeats()), list[FreeSeats])
    assert_type(await app.ask(HowMany()), int)
    assert_type(await app.ask(Nearest("s1")), FreeSeats | None)


async def after_takes_a_receipt(app: App, receipt: Receipt) -> None:
    assert_type(await app.ask(HowMany(), after=receipt, timeout=1), int)


async def an_answer_carries_the_type_of_its_value() -> None:
    answer = await app.answer(ShowingsWithSeats())
    assert_type(answer, Answer[list[FreeSeats]])
    assert_type(answer.value, list[FreeSeats])
    assert_type(answer.position, int)
    assert_type(answer.stale, bool)


async def views_give_rows_of_the_type_that_was_named(views: Views) -> None:
    seats = views.table(FreeSeats)
    assert_type(await views.get(FreeSeats, "s1"), FreeSeats | None)
    statement = seats.select()
    assert_type(await views.all(FreeSeats, statement), list[FreeSeats])
    assert_type(await views.one(FreeSeats, statement), FreeSeats)
    assert_type(await views.scalar(int, statement), int)


class Base(DeclarativeBase): ...


class Room(Base):
    __tablename__ = "rooms"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


async def statements_on_mapped_classes_are_taken_with_their_column_types(views: Views) -> None:
    assert_type(await views.all(str, select(Room.name)), list[str])
    assert_type(await views.all(FreeSeats, select(Room.name, Room.number)), list[FreeSeats])


async def all_rows_of_a_view_need_no_statement(views: Views) -> None:
    assert_type(await views.all(FreeSeats), list[FreeSeats])


def rooms(session: Session) -> list[Room]:
    return list(session.scalars(select(Room)))


async def what_an_orm_session_gives_keeps_its_type(views: Views) -> None:
    assert_type(await views.run(rooms), list[Room])


async def a_command_is_not_a_query(app: App) -> None:
    await app.ask("free seats")  # type: ignore[arg-type]
