"""What type checkers must conclude about pydantic models as messages. Checked, never run."""

from typing import assert_type

from pydantic import BaseModel, ConfigDict, Field

from diptych import App, Decider, EventSourced, Query, View, Views


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reserve(Frozen):
    showing: str
    seats: int = Field(gt=0)


class Reserved(Frozen):
    showing: str
    seats: int


class Showing(Frozen):
    free: int = 100


class FreeSeats(Frozen):
    showing: str
    free: int


class Nearest(Frozen, Query[FreeSeats | None]):
    showing: str


def decide(command: Reserve, showing: Showing) -> list[Reserved]:
    return [Reserved(showing=command.showing, seats=command.seats)]


def evolve(showing: Showing, event: Reserved) -> Showing:
    return showing.model_copy(update={"free": showing.free - event.seats})


def project(row: FreeSeats | None, event: Reserved) -> FreeSeats | None:
    return row


decider = Decider(Showing(), decide, evolve)
assert_type(decider, Decider[Showing])
assert_type(EventSourced("showing", decider, key="showing"), EventSourced[Showing])
assert_type(View(FreeSeats, project, key="showing"), View[FreeSeats])


async def a_query_gives_its_own_type(app: App, views: Views) -> None:
    assert_type(await app.ask(Nearest(showing="s1")), FreeSeats | None)
    assert_type(await views.get(FreeSeats, "s1"), FreeSeats | None)
    Nearest(showing=1)  # type: ignore[arg-type]
