"""What an answerer reads from: read-only, all of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec

from diptych.errors import WiringError, WrongRows
from diptych.log.forms import is_model, make_model
from diptych.read.port import Found, SqlViewStore
from diptych.read.reading import Reading

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.orm import Session as OrmSession
    from sqlalchemy.sql import Select

    Statement: TypeAlias = Select[*tuple[Any, ...]]
    """A `select` of any columns, whatever their types."""

T = TypeVar("T")

SCALARS = (int, float, str, bool, bytes)


class Views:
    """The read-only session of one answer. All its reads from one store are of one moment.

    Statements name the tables of views, or the write model's own tables (`Tables`); which views an
    answer depends on is noticed from them.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def table(self, row: type) -> Table:
        """The table of a view, to be used in a `select`.

        Raises:
            WiringError: No view of this app has such rows, or they are in no table.
        """
        shape, store = self._reading.of(row)
        if not isinstance(store, SqlViewStore):
            raise WiringError(
                f"the rows of {row.__name__} rest in a dictionary, which takes no statement. Use "
                f"views.get({row.__name__}, key) or views.all({row.__name__}), or give the view "
                "store='sqlite://'."
            )
        return cast("Table", store.table(shape))

    async def get(self, row: type[T], *key: Any) -> T | None:
        """The row of a key (one argument for each of its fields), or None."""
        reading = self._reading
        shape, store = reading.of(row)
        session = await reading.session(store)
        found = await session.get(shape, key)
        if shape.checkpoint not in reading.used:
            await reading.depend(session, (shape.checkpoint,))
        if shape.is_beside and found is not None:
            found = found.row
        return cast("T | None", found)

    async def all(self, type_: type[T], statement: Statement | None = None) -> list[T]:
        """All rows of a statement: columns by name into a class, or single values.

        Args:
            statement: Without one, all rows of the view of this class, in no particular order.

        Raises:
            WrongRows: The columns do not fit the class.
            ReadOnly: The statement would write.
            WiringError: It names a table that nothing here knows, or tables of two stores.
        """
        reading = self._reading
        if statement is None:
            shape, view_store = reading.of(type_)
            session = await reading.session(view_store)
            rows = await session.all(shape)
            await reading.depend(session, (shape.checkpoint,))
            return [row.row for row in rows] if shape.is_beside else list(rows)
        from diptych.read.statements import tables_of

        store, checkpoints = reading.sources.of_statement(tables_of(statement))
        sql = await reading.sql(store)
        found = await sql.select(statement)
        await reading.depend(sql, checkpoints)
        key = reading.sources.key_beside(type_)
        if key in found.columns:
            found = _without(found, found.columns.index(key))
        return _typed(type_, found.columns, found.rows)

    async def one(self, type_: type[T], statement: Statement) -> T:
        """The only row of a statement.

        Raises:
            WrongRows: There is none, or more than one.
        """
        rows = await self.all(type_, statement)
        if len(rows) != 1:
            raise WrongRows(
                f"one {type_.__name__} was expected, the statement gives {len(rows)}. "
                "Use all(), or a narrower where()."
            )
        return rows[0]

    async def scalar(self, type_: type[T], statement: Statement) -> T:
        """The only value of a statement: one row, one column.

        Raises:
            WrongRows: There is no row or column, more than one, or a value of another type.
        """
        return await self.one(type_, statement)

    async def run(self, function: Callable[[OrmSession], T]) -> T:
        """What a function of an ORM session returns: for mapped classes and their relationships.

        The function reads beside the loop, on the snapshot of the app's own store; it counts as
        reading every view there. Load what the answer needs inside it: afterwards its
        objects are detached.

        Raises:
            ReadOnly: It would write: a flush is refused by the database.
        """
        reading = self._reading
        store = reading.sources.own_sql()
        session = await reading.sql(store)
        value = await session.run(function)
        await reading.depend(session, reading.sources.within(store))
        return value


def _without(found: Found, place: int) -> Found:
    """All columns but one."""
    columns = [*found.columns[:place], *found.columns[place + 1 :]]
    return Found(columns, [(*row[:place], *row[place + 1 :]) for row in found.rows])


def _plain(type_: type, value: Any) -> Any:
    """PostgreSQL gives sums and means as Decimal."""
    if value.__class__ is Decimal:
        if type_ is float:
            return float(value)
        if type_ is int and value.is_finite() and value == int(value):
            return int(value)
    return value


def _typed(type_: type[T], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[T]:
    if (
        type_ in SCALARS
        or not hasattr(type_, "__annotations__")
        or (
            len(columns) == 1
            and not (
                hasattr(type_, "__dataclass_fields__")
                or hasattr(type_, "__struct_fields__")
                or is_model(type_)
            )
        )
    ):
        if len(columns) != 1:
            raise WrongRows(
                f"a {type_.__name__} was expected, the statement gives {len(columns)} columns. "
                "Select one column, or name a class with these fields."
            )
        values = [_plain(type_, row[0]) for row in rows]
        for value in values:
            if not isinstance(value, type_) and not (type_ is float and isinstance(value, int)):
                raise WrongRows(
                    f"a {type_.__name__} was expected, the statement gives {value!r}. "
                    "Name the type that the column has."
                )
        return values
    try:
        named = (dict(zip(columns, row, strict=True)) for row in rows)
        if is_model(type_):
            return [make_model(type_, fields) for fields in named]
        return [type_(**fields) for fields in named]
    except (TypeError, msgspec.ValidationError) as error:
        raise WrongRows(
            f"columns {', '.join(columns)} do not fit {type_.__name__} ({error}). "
            "Select its fields, with .label(…) where a column is named differently."
        ) from error
