"""The write model's own tables as a query model: the database is the point of communication."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData


class Tables:
    """Lets answerers select from the tables of a metadata: read-only, and always fresh.

    They are created where missing on SQLite; on PostgreSQL only a migration does that.

    Args:
        metadata: Of the write model's tables, e.g. `Base.metadata`.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"Tables({', '.join(sorted(self.metadata.tables)) or 'none'})"
