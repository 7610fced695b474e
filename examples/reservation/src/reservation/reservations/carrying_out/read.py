"""The to-do list: a row appears with a request and goes with its answer."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from diptych import Query, Recorded, View, Views
from reservation.reservations.events import (
    CancellationRequested,
    ReservationAccepted,
    ReservationCancelled,
    ReservationRejected,
    ReservationRequested,
)
from reservation.reservations.stay import Stay


@dataclass(frozen=True)
class ToDo:
    """`stay` is what AcceptReservation needs; a cancellation finds its own."""

    reservation_id: str
    task: Literal["accept", "cancel"]
    stay: Stay | None
    since: int


def to_accept(
    row: ToDo | None, event: ReservationRequested, recorded: Recorded[ReservationRequested]
) -> ToDo:
    return ToDo(event.reservation_id, "accept", event.stay, recorded.position)


def to_cancel(
    row: ToDo | None, event: CancellationRequested, recorded: Recorded[CancellationRequested]
) -> ToDo:
    return ToDo(event.reservation_id, "cancel", None, recorded.position)


def done(
    row: ToDo | None, event: ReservationAccepted | ReservationRejected | ReservationCancelled
) -> None:
    return None


to_do = View(ToDo, [to_accept, to_cancel, done], key="reservation_id", version=1)


@dataclass(frozen=True)
class WhatIsToDo(Query[list[ToDo]]):
    limit: int = 200


async def what_is_to_do(query: WhatIsToDo, views: Views) -> list[ToDo]:
    rows = views.table(ToDo)
    oldest = select(rows).order_by(rows.c.since).limit(query.limit)
    return await views.all(ToDo, oldest)
