"""SQLAlchemy's statement cache must not take one typed column for another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import MetaData, literal, select

from diptych.adapters.sql.columns import RowCodec
from diptych.adapters.sql.tables import table
from diptych.read.port import Shape


@dataclass(frozen=True)
class Stay:
    id: str
    price: Decimal
    lasted: timedelta


def test_statements_that_differ_in_a_columns_type_are_different_statements() -> None:
    codec = RowCodec(Shape(view="stay", version=1, row=Stay, key=("id",)))
    stays = table(codec, "view_stay_1", MetaData())
    keys = [
        select(literal(1, column.type))._generate_cache_key()
        for column in (stays.c.price, stays.c.lasted, stays.c.price)
    ]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]
