"""Instances of a mapped class as rows of its table, and back.

The table is the user's and other programs read it: columns are converted by SQLAlchemy's own types,
and what SQLAlchemy fills in on INSERT and UPDATE is filled in here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from math import isnan
from typing import Any, TypeAlias, cast
from warnings import catch_warnings, simplefilter

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Table, bindparam
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Mapper, class_mapper
from sqlalchemy.orm.exc import UnmappedClassError

from diptych.adapters.sql.ddl import ddl
from diptych.errors import BadResult, WiringError
from diptych.log.commit import StateRow, StateTable
from diptych.log.rows import Values

Convert: TypeAlias = Callable[[Any], Any]

INT64 = 1 << 63
HANDLERS = "For object graphs use Handlers, which give you a session."


class MappedRow:
    """One mapped class and its table.

    Args:
        dialect: Of the store, whose driver's values these are.

    Raises:
        WiringError: It is more than one plain row, or cannot be kept on SQLite.
    """

    def __init__(self, row: type, dialect: Dialect) -> None:
        self.row = row
        mapper = _mapper(row)
        table = _plain_table(row, mapper)
        self._columns: list[MappedColumn] = []
        for attribute in mapper.column_attrs:
            column = cast("SqlColumn[Any]", attribute.columns[0])
            if column.__class__ is not SqlColumn or column.table is not table:
                raise WiringError(
                    f"{row.__name__}.{attribute.key} is no column of {table.name!r}. "
                    "Rows keep plain columns: compute it in to_state=, or keep it as a column."
                )
            self._columns.append(MappedColumn(row, attribute.key, column, mapper, dialect))
        key: Any = mapper.primary_key[0]
        self.table = StateTable(
            table.name, tuple(column.name for column in self._columns), key.name
        )
        self._key = self.table.columns.index(key.name)
        self._touched = [
            (place, column)
            for place, column in enumerate(self._columns)
            if column.onupdate is not None or column.computed
        ]
        self._to_row = f"to_row of Rows({row.__name__})"
        self.key_type = _python_type(key)
        self._new: Callable[[], Any] = mapper.class_manager.new_instance
        self.ddl = ddl(table.metadata, dialect, _with_referred(table))

    def key(self, value: Any) -> Any:
        type_ = self.key_type
        if type_ is not None and (not isinstance(value, type_) or isinstance(value, bool)):
            raise ValueError(
                f"is {type(value).__name__}, but {self.table.name}.{self.table.key} "
                f"keeps {type_.__name__}"
            )
        return self._columns[self._key].encode(value)

    def load(self, values: Values) -> Any:
        instance = self._new()
        attributes = instance.__dict__
        for column, value in zip(self._columns, values, strict=True):
            decode = column.decode
            attributes[column.attribute] = value if decode is None else decode(value)
        return instance

    def change(self, key: Any, stood: Values | None, row: Any | None, *, trusted: bool) -> StateRow:
        becomes: list[Any] = []
        puts: list[int] = []
        whole = True
        if row is not None:
            if row.__class__ is not self.row:
                raise BadResult(
                    self._to_row,
                    f"returned {type(row).__name__}. Return a {self.row.__name__}, or None to "
                    "remove the row.",
                )
            becomes, puts, whole = self._set(row, key, stood)
            if stood is not None:
                if all(becomes[place] == stood[place] for place in puts):
                    becomes, puts = list(stood), []
                else:
                    whole = self._touch(becomes, puts, stood)
        return StateRow(
            table=self.table,
            key=key,
            stood=stood,
            becomes=None if row is None else tuple(becomes),
            puts=tuple(puts),
            whole=whole,
            trusted=trusted,
        )

    def _set(self, row: Any, key: Any, stood: Values | None) -> tuple[list[Any], list[int], bool]:
        """The values with what was set on the instance, which those are, whether all are known."""
        given = row.__dict__
        becomes: list[Any] = []
        puts: list[int] = []
        whole = True
        for place, column in enumerate(self._columns):
            if place == self._key:
                if column.attribute in given:
                    self._refuse_other_key(key, given[column.attribute])
                becomes.append(key)
                if stood is None:
                    puts.append(place)
            elif column.is_set(given, new=stood is None):
                becomes.append(self._encode(column, given[column.attribute]))
                puts.append(place)
            elif stood is not None:
                becomes.append(stood[place])
            elif column.default is not None:
                becomes.append(self._encode(column, column.default(None)))
                puts.append(place)
            else:
                becomes.append(None)
                whole = whole and not column.filled_in
        return becomes, puts, whole

    def _refuse_other_key(self, key: Any, given: Any) -> None:
        column = self._columns[self._key]
        if self._encode(column, given) != key:
            raise BadResult(
                self._to_row,
                f"gave {column.attribute!r} the value {given!r}, for the key {key!r}. "
                "Give it the key that it was called with.",
            )

    def _encode(self, column: MappedColumn, value: Any) -> Any:
        try:
            return column.encode(value)
        except ValueError as error:
            raise BadResult(
                self._to_row, f"gave {column.attribute!r} the value {value!r}, which {error}."
            ) from error

    def _touch(self, becomes: list[Any], puts: list[int], stood: Values) -> bool:
        """What SQLAlchemy would change besides (`onupdate`, a version); whether that is all."""
        whole = True
        for place, column in self._touched:
            if column.onupdate is not None and place not in puts:
                old = stood[place] if column.decode is None else column.decode(stood[place])
                becomes[place] = self._encode(column, column.onupdate(old))
                puts.append(place)
            whole = whole and not column.computed
        return whole


class MappedColumn:
    """A column as an attribute.

    Attributes:
        decode: From the database; None where the value comes back as it is.
        default: What an INSERT puts where nothing is set; None where the database decides.
        onupdate: What an UPDATE puts where nothing is set, given the old value.
        counts: It is the version that SQLAlchemy counts up; nobody else sets it.
        filled_in: The database may put something where an INSERT does not.
        computed: The database computes it from other columns.
    """

    def __init__(
        self,
        row: type,
        attribute: str,
        column: SqlColumn[Any],
        mapper: Mapper[Any],
        dialect: Dialect,
    ) -> None:
        self.attribute = attribute
        self.name = column.name
        where = f"{row.__name__}.{attribute}"
        type_ = column.type
        if (
            type_.bind_expression(bindparam("x")) is not None
            or type_.column_expression(column) is not None
        ):
            raise WiringError(
                f"{where}: its type {type_!r} is converted by SQL. Rows keep values that are "
                f"converted in Python. {HANDLERS}"
            )
        with catch_warnings():  # of Decimals that lose digits: here they are refused
            simplefilter("ignore", SAWarning)
            converting = type_.dialect_impl(dialect)
            self._bind: Convert | None = converting.bind_processor(dialect)
            self.decode: Convert | None = converting.result_processor(dialect, None)
        self._none_is_a_value = type_.should_evaluate_none
        self.default: Convert | None = _filling(where, column.default)
        self.onupdate: Convert | None = _filling(where, column.onupdate)
        self.computed = column.computed is not None
        self.counts = mapper.version_id_col is column and callable(mapper.version_id_generator)
        if self.counts:
            self.default = self.onupdate = cast("Convert", mapper.version_id_generator)
        self.filled_in = (
            column.server_default is not None or self.computed or column.identity is not None
        )

    def is_set(self, given: dict[str, Any], *, new: bool) -> bool:
        """Whether an instance says what is to be kept; as for SQLAlchemy, a new one's None does not."""
        if self.counts or self.computed or self.attribute not in given:
            return False
        return not new or self._none_is_a_value or given[self.attribute] is not None

    def encode(self, value: Any) -> Any:
        """The value for the database.

        Raises:
            ValueError: It cannot be kept, or would come back as another one.
        """
        try:
            raw = value if self._bind is None else self._bind(value)
        except Exception as error:
            raise ValueError(f"its column cannot keep: {error}") from error
        raw = _plain(raw)
        if self.decode is not None and isinstance(value, datetime | time | Decimal):
            back = self.decode(raw)
            if back != value:
                raise ValueError(
                    f"would come back as {back!r}. Give what its column can keep "
                    "(naive times of one zone, digits that fit), or the column another type"
                )
        return raw


def _plain(raw: Any) -> Any:
    """A value of one of SQLite's types.

    Raises:
        ValueError: It is none.
    """
    kind = raw.__class__
    if raw is None or kind is bool:
        return raw
    if isinstance(raw, float):
        if isnan(raw):
            raise ValueError("is not a number")
        return raw if kind is float else float(raw)
    if isinstance(raw, bytes | bytearray | memoryview):
        return bytes(cast("bytes", raw))
    if isinstance(raw, str):
        try:
            raw.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"is text that cannot be encoded ({error})") from error
        return raw if kind is str else str.__str__(raw)
    if isinstance(raw, int):
        if -INT64 <= raw < INT64:
            return raw if kind is int else int(raw)
        raise ValueError("is over 64 bits")
    raise ValueError("SQLite cannot keep. Give its column a type that converts it")


def _mapper(row: type[Any]) -> Mapper[Any]:
    try:
        return class_mapper(row)
    except UnmappedClassError:
        raise WiringError(
            f"Rows({row.__name__}): no class that SQLAlchemy maps. "
            "Give a declarative class with a __tablename__."
        ) from None


def _plain_table(row: type, mapper: Mapper[Any]) -> Table:
    """The one table of a class that is one row of it and nothing more."""
    table: Any = mapper.local_table
    related = sorted(mapper.relationships.keys())
    if related:
        raise WiringError(
            f"Rows({row.__name__}): it has relationships ({', '.join(related)}), but Rows keep one "
            f"plain row by its key. {HANDLERS}"
        )
    if mapper.inherits is not None or mapper.polymorphic_on is not None:
        raise WiringError(
            f"Rows({row.__name__}): it is mapped with inheritance, but Rows keep one plain row of "
            f"one table. Map a class of its own. {HANDLERS}"
        )
    if not isinstance(table, Table):
        raise WiringError(
            f"Rows({row.__name__}): it is mapped to {table}, which is no table. Map a table."
        )
    if table.schema is not None:
        raise WiringError(
            f"Rows({row.__name__}): its table is in schema {table.schema!r}, which a SQLite file "
            "does not have. Leave schema= out."
        )
    if table.name.startswith("diptych_"):
        raise WiringError(
            f"Rows({row.__name__}): {table.name!r} is a name of diptych's own tables. "
            "Give the table another."
        )
    if len(mapper.primary_key) != 1:
        names = ", ".join(column.name for column in mapper.primary_key)
        raise WiringError(
            f"Rows({row.__name__}): its primary key is ({names}), but a state is kept by one key, "
            f"that of its commands. Give it one column. {HANDLERS}"
        )
    return cast("Table", table)


def _with_referred(table: Table) -> set[Table]:
    """The table, and those that its foreign keys need."""
    found = {table}
    waiting = [table]
    while waiting:
        for constraint in waiting.pop().foreign_key_constraints:
            if constraint.referred_table not in found:
                found.add(constraint.referred_table)
                waiting.append(constraint.referred_table)
    return found


def _python_type(column: SqlColumn[Any]) -> type | None:
    try:
        return column.type.python_type
    except NotImplementedError:
        return None


def _filling(where: str, default: Any) -> Convert | None:
    """What a column's `default=` or `onupdate=` gives.

    Raises:
        WiringError: It is SQL.
    """
    if default is None or default.is_sequence:
        return None
    if default.is_scalar:
        return lambda _: default.arg
    if default.is_callable:
        return lambda _: default.arg(None)
    raise WiringError(
        f"{where}: its default= or onupdate= is an SQL expression, whose value nobody knows before "
        "it is written. Use server_default=, a function of Python, or set it in to_row=."
    )
