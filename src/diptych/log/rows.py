"""What a store must be able to do to keep states as rows of the user's own tables."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from diptych.log.commit import StateRow, StateTable

Values: TypeAlias = tuple[Any, ...]
"""Of all columns of a row, as the database has them."""


class RowMapping(Protocol):
    """A mapped class, between its instances and the values of its table."""

    @property
    def table(self) -> StateTable: ...

    @property
    def key_type(self) -> type | None:
        """Type of its primary key in Python; None where that cannot be told."""
        ...

    def key(self, value: Any) -> Any:
        """A primary key as the database has it.

        Raises:
            ValueError: It is of another type than the column.
        """
        ...

    def load(self, values: Values) -> Any:
        """The instance of a row."""
        ...

    def change(self, key: Any, stood: Values | None, row: Any | None, *, trusted: bool) -> StateRow:
        """What an instance makes of the row that was there; None removes it.

        Raises:
            BadResult: It is no instance, of another key, or holds what its table cannot keep.
        """
        ...


@runtime_checkable
class KeepsRows(Protocol):
    """A store whose commits write rows of the user's tables, too."""

    def map_row(self, row: type) -> RowMapping:
        """How a mapped class is kept. Asked before `open`, which creates its table where missing.

        Raises:
            WiringError: This class cannot be kept as one plain row.
        """
        ...

    def read_row(
        self, tenant: str, stream: str, table: StateTable, key: Any
    ) -> Awaitable[tuple[int, Values | None]]:
        """Version of the stream, and the row if it exists; both of one snapshot."""
        ...
