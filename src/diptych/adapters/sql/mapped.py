"""Instances of a mapped class as rows of its table, and back.

The table is the user's and other programs read it: columns are converted by SQLAlchemy's own types,
and what SQLAlchemy fills in on INSERT and UPDATE is filled in here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Table
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapper, class_mapper
from sqlalchemy.orm.exc import UnmappedClassError

from diptych.adapters.sql.ddl import ddl
from diptych.adapters.sql.mapped_columns import HANDLERS, MappedColumn
from diptych.errors import BadResult, WiringError
from diptych.log.commit import StateRow, StateTable
from diptych.log.rows import Values


class MappedRow:
    """One mapped class and its table.

    Args:
        dialect: Of the store, whose driver's values these are.

    Raises:
        WiringError: It is more than one plain row, or cannot be kept in that database.
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
        self.metadata = table.metadata
        self.tables = _with_referred(table)
        self._dialect = dialect

    @property
    def ddl(self) -> list[str]:
        """Statements that create its table, and those that it refers to, where they are missing."""
        return ddl(self.metadata, self._dialect, self.tables)

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
        if given is not key and self._encode(column, given) != key:
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
            f"Rows({row.__name__}): its table is in schema {table.schema!r}, but Rows are kept where "
            "the log is. Leave schema= out; on PostgreSQL the store's URL names one (?schema=…)."
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
