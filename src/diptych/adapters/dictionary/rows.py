"""The rows of one view in a dictionary, and what they were for those who still look at that."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from diptych.adapters.sql.columns import RowCodec
from diptych.read.port import Shape

Key: TypeAlias = tuple[Any, ...]


class RowsByKey:
    """Rows by key. Saves are numbered; a row is looked at as of one of them.

    Rows go through the same columns as in a database, so that a value which no database would keep
    is refused here, too, and nobody else holds what is kept.
    """

    def __init__(self, shape: Shape) -> None:
        self.codec = RowCodec(shape)
        self._rows: dict[Key, Any] = {}
        self._changed = 0
        """Number of the last save."""
        self._replaced: dict[Key, deque[tuple[int, Any]]] = {}
        """By key: the number of a save, and the row before it."""
        self._remembered: deque[tuple[int, Key]] = deque()
        """The same keys by number, oldest first."""

    def checked(self, row: Any) -> tuple[Key, Any]:
        """A row as it is kept, and its key.

        Raises:
            BadResult: A value is not of its field's type, or cannot be kept.
        """
        kept = self.codec.decode(self.codec.encode(row))
        return self.codec.key_of(kept), kept

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Any]:
        """The rows of these keys that exist, as of now."""
        found: dict[Key, Any] = {}
        for key in keys:
            self.codec.encode_key(key)
            row = self._rows.get(key)
            if row is not None:
                found[key] = row
        return found

    def get(self, key: Key, since: int) -> Any | None:
        """A row as of a save, or None."""
        row = self._rows.get(key) if self._changed <= since else self._as_of(key, since)
        if row is None:
            self.codec.encode_key(key)  # for its error: a key of another type finds nothing
        return row

    def all(self, since: int) -> Sequence[Any]:
        """All rows as of a save."""
        if self._changed <= since:
            return list(self._rows.values())
        keys = {**self._rows, **self._replaced}
        rows = (self._as_of(key, since) for key in keys)
        return [row for row in rows if row is not None]

    def change(self, changes: Mapping[Key, Any], number: int, *, oldest: int | None) -> None:
        """Takes rows in; None removes one.

        Args:
            oldest: The save as of which somebody looks at the rows; None where nobody does.
        """
        self._forget(number if oldest is None else oldest)
        for key, row in changes.items():
            before = self._rows.get(key)
            if oldest is not None:
                self._replaced.setdefault(key, deque()).append((number, before))
                self._remembered.append((number, key))
            if row is not None:
                self._rows[key] = row
            elif before is not None:
                del self._rows[key]
        self._changed = number

    def _as_of(self, key: Key, since: int) -> Any | None:
        for number, before in self._replaced.get(key, ()):
            if number > since:
                return before
        return self._rows.get(key)

    def _forget(self, oldest: int) -> None:
        """What nobody can look at any more."""
        while self._remembered and self._remembered[0][0] <= oldest:
            _, key = self._remembered.popleft()
            replaced = self._replaced[key]
            replaced.popleft()
            if not replaced:
                del self._replaced[key]
