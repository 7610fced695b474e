"""Rows that are pydantic models: the same columns, and what goes in comes out."""

from __future__ import annotations

from typing import Annotated, Any, get_type_hints

import pytest
import sqlalchemy as sa
from hypothesis import given
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, create_model
from pydantic import field_validator as validator

from diptych.adapters.sql.columns import RowCodec
from diptych.errors import BadResult
from diptych.read.port import Shape, SqlViewStore, ViewStore
from tests.contract.searching import searching
from tests.contract.view_rows import EVERYTHING, Colour, Everything, everythings, put, select

EverythingModel: Any = create_model(
    "EverythingModel",
    __config__=ConfigDict(frozen=True),
    **{name: (hint, ...) for name, hint in get_type_hints(Everything).items()},  # type: ignore[call-overload]
)


class Part(BaseModel):
    sku: str
    count: int = Field(gt=0)


class Stock(BaseModel):
    """Types of pydantic's, aliases, models inside."""

    model_config = ConfigDict(use_enum_values=True)

    id: str = Field(alias="ID")
    count: Annotated[int, Field(ge=0)]
    at: AwareDatetime | None = None
    site: HttpUrl | None = None
    colour: Colour | None = None
    parts: dict[str, Part] = {}

    @validator("id")
    @classmethod
    def lower(cls, id: str) -> str:
        return id.lower()


EVERYTHING_MODEL = Shape(view="everything-model", version=1, row=EverythingModel, key=("id",))
STOCK = Shape(view="stock", version=1, row=Stock, key=("id",))
MODEL_SHAPES = (EVERYTHING_MODEL, STOCK)


def stock(id: str = "a", /, **more: Any) -> Stock:
    return Stock(**{"ID": id, "count": 1} | more)


class Models:
    def test_a_model_has_the_columns_of_a_dataclass(self) -> None:
        def columns(shape: Shape) -> list[tuple[str, str, bool]]:
            return [(c.name, c.sql, c.nullable) for c in RowCodec(shape).columns]

        assert columns(EVERYTHING_MODEL) == columns(EVERYTHING)

    @searching
    @given(row=everythings)
    async def test_every_model_comes_back_as_it_was(
        self, views: ViewStore, row: Everything
    ) -> None:
        values = {name: getattr(row, name) for name in Everything.__annotations__}
        model = EverythingModel(**values)
        await put(views, EVERYTHING_MODEL, model)
        (found,) = (await views.load(EVERYTHING_MODEL, [(row.id,)])).rows.values()
        assert found == model
        assert [type(getattr(found, name)) for name in values] == [
            type(value) for value in values.values()
        ]
        async with views.session() as session:
            assert await session.get(EVERYTHING_MODEL, (row.id,)) == model

    async def test_what_is_inside_comes_back_as_itself(self, views: ViewStore) -> None:
        row = stock(
            site="https://example.org/",
            colour=Colour.RED,
            at="2026-07-01T12:00:00+09:00",
            parts={"x": Part(sku="s", count=2)},
        )
        await put(views, STOCK, row)
        (found,) = (await views.load(STOCK, [("a",)])).rows.values()
        assert found == row

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            (
                stock().model_copy(update={"count": -1}),
                r"greater than or equal to 0 - at `\$\.count`",
            ),
            (stock().model_copy(update={"count": "1"}), r"'count' is str, not int"),
            (stock().model_copy(update={"id": "A"}), r"'id' its validators change"),
            (stock().model_copy(update={"at": stock}), r"'at' is function, not datetime"),
            (
                stock(parts={"x": Part.model_construct(sku="s", count=0)}),
                r"'parts' cannot be kept: Input should be greater than 0",
            ),
        ],
        ids=repr,
    )
    async def test_a_row_that_would_not_come_back_is_refused(
        self, views: ViewStore, row: Stock, words: str
    ) -> None:
        with pytest.raises(BadResult, match=words):
            await put(views, STOCK, row)
        assert (await views.load(STOCK, [("a",), ("A",)])).rows == {}


class SqlModels:
    async def test_a_statement_gives_what_is_inside_as_itself(self, views: SqlViewStore) -> None:
        row = stock(
            site="https://example.org/",
            colour=Colour.RED,
            at="2026-07-01T12:00:00+09:00",
            parts={"x": Part(sku="s", count=2)},
        )
        await put(views, STOCK, row)
        c = views.table(STOCK).c
        statement = sa.select(c.parts, c.site, c.colour).where(c.at == row.at, c.count == 1)
        ((parts, site, colour),) = (await select(views, statement)).rows
        assert (parts, site, colour) == (row.parts, row.site, "red")
        assert isinstance(site, HttpUrl)
