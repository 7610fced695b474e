"""The statements that create a user's tables where they are missing."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import MetaData, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable


def ddl(metadata: MetaData, dialect: Dialect, only: Collection[Table] | None = None) -> list[str]:
    """Tables in the order of their references, each with its indexes.

    Args:
        only: These of them; all by default.
    """
    statements: list[str] = []
    for table in metadata.sorted_tables:
        if only is not None and table not in only:
            continue
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            create = CreateIndex(index, if_not_exists=True)
            statements.append(str(create.compile(dialect=dialect)))
    return statements
