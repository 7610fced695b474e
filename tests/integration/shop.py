"""A domain of existing ORM classes: orders with lines, and the stock they take from."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from diptych import App, Context, Handlers, Refused


class Base(DeclarativeBase): ...


class Article(Base):
    __tablename__ = "articles"
    sku: Mapped[str] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(default="placed")
    placed_by: Mapped[str] = mapped_column(default="")
    lines: Mapped[list[Line]] = relationship(back_populates="order")


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    sku: Mapped[str] = mapped_column(ForeignKey("articles.sku"))
    quantity: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")


@dataclass(frozen=True)
class Deliver:
    sku: str
    quantity: int


@dataclass(frozen=True)
class Delivered:
    sku: str
    quantity: int
    stock: int


@dataclass(frozen=True)
class PlaceOrder:
    order_id: str
    lines: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    placed_by: str


@dataclass(frozen=True)
class ConfirmOrder:
    order_id: str


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str
    articles: int


@dataclass(frozen=True)
class TakeOne:
    """Reads, then writes: the classic lost update."""

    sku: str


@dataclass(frozen=True)
class OneTaken:
    sku: str
    left: int


@dataclass(frozen=True)
class Misbehave:
    sku: str
    how: str


async def deliver(command: Deliver, session: AsyncSession) -> list[Delivered]:
    article = await session.get(Article, command.sku)
    if article is None:
        article = Article(sku=command.sku, stock=0)
        session.add(article)
    article.stock += command.quantity
    return [Delivered(command.sku, command.quantity, article.stock)]


async def place(command: PlaceOrder, session: AsyncSession, context: Context) -> list[OrderPlaced]:
    if await session.get(Order, command.order_id):
        raise Refused("placed_already", f"order {command.order_id} exists")
    order = Order(id=command.order_id, placed_by=context.principal.id)
    order.lines = [Line(sku=sku, quantity=quantity) for sku, quantity in command.lines]
    session.add(order)
    for sku, quantity in command.lines:
        article = await session.get_one(Article, sku)
        article.stock -= quantity
        if article.stock < 0:
            raise Refused("too_few", f"{sku} is not there", sku=sku)
    return [OrderPlaced(command.order_id, context.principal.id)]


async def confirm(command: ConfirmOrder, session: AsyncSession) -> list[OrderConfirmed]:
    wanted = select(Order).where(Order.id == command.order_id).options(selectinload(Order.lines))
    order = (await session.scalars(wanted)).one()
    if order.status != "placed":
        raise Refused("not_placed", f"order {order.id} is {order.status}")
    order.status = "confirmed"
    return [OrderConfirmed(order.id, len(order.lines))]


async def take_one(command: TakeOne, session: AsyncSession) -> list[OneTaken]:
    article = await session.get_one(Article, command.sku, with_for_update=True)
    left = article.stock - 1
    if left < 0:
        raise Refused("none_left", command.sku)
    article.stock = left
    return [OneTaken(command.sku, left)]


async def misbehave(command: Misbehave, session: AsyncSession) -> list[Delivered]:
    article = await session.get_one(Article, command.sku)
    article.stock = 0
    await session.flush()
    match command.how:
        case "raise":
            raise LookupError(command.sku)
        case "sleep":
            await asyncio.sleep(60)
        case "commit":
            await session.commit()
        case "rollback":
            await session.rollback()
        case "duplicate":
            session.add(Article(sku=command.sku, stock=1))
        case _:
            return [Delivered(command.sku, 0, "many")]  # type: ignore[arg-type]
    return [Delivered(command.sku, 0, 0)]


def shop_handlers(seconds: float = 2.0) -> Handlers:
    return Handlers(
        "shop",
        [deliver, place, confirm, take_one, misbehave],
        key="order_id",
        keys={Deliver: "sku", TakeOne: "sku", Misbehave: "sku"},
        tables=Base.metadata,
        seconds=seconds,
    )


def shop(where: Path | str, **more: Any) -> App:
    """An app of this domain on a file, or in the database of a URL."""
    parts: dict[str, Any] = {"write": [shop_handlers()]}
    store = where if isinstance(where, str) else f"sqlite:///{where}"
    return App("shop", store=store, **parts | more)
