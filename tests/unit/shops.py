"""A small app in a directory of its own, for what looks at apps from outside."""

from __future__ import annotations

from pathlib import Path

SHOP = """\
from dataclasses import dataclass, replace

from sqlalchemy import select

from diptych import App, Decider, EventSourced, Query, View, Views


@dataclass(frozen=True)
class PlaceOrder:
    order: str


@dataclass(frozen=True)
class OrderPlaced:
    order: str


@dataclass(frozen=True)
class Orders:
    placed: int = 0


def decide(command: PlaceOrder, orders: Orders) -> list[OrderPlaced]:
    return [OrderPlaced(command.order)]


def evolve(orders: Orders, event: OrderPlaced) -> Orders:
    return replace(orders, placed=orders.placed + 1)


@dataclass(frozen=True)
class PlacedOrders:
    order: str
    times: int


def project(row: PlacedOrders | None, event: OrderPlaced) -> PlacedOrders:
    return PlacedOrders(event.order, 1 if row is None else row.times + 1)


@dataclass(frozen=True)
class HowMany(Query[int]):
    pass


async def how_many(query: HowMany, views: Views) -> int:
    return len(await views.all(PlacedOrders, select(views.table(PlacedOrders))))


orders = EventSourced("order", Decider(Orders(), decide, evolve), key="order")
app = App(
    "shop",
    store="STORE",
    write=[orders],
    read=[View(PlacedOrders, project, key="order")],
    answer=[how_many],
)
"""

PYPROJECT = '[tool.diptych]\napp = "MODULE:app"\n'


def shop(directory: Path, *, module: str, store: str = "sqlite:///shop.db") -> Path:
    """Writes the app and its pyproject.toml; `module` must be new to this process."""
    (directory / f"{module}.py").write_text(SHOP.replace("STORE", store))
    (directory / "pyproject.toml").write_text(PYPROJECT.replace("MODULE", module))
    return directory
