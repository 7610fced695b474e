"""Whether a statement was meant to change something, where a database could not read it.

Only imported when a statement has failed: SQLAlchemy alone takes a quarter of a second.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.sql import visitors
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import TextClause

_READS = re.compile(r"\s*(SELECT|WITH|VALUES)\b[^;]*;?\s*$", re.IGNORECASE | re.DOTALL)
_CHANGES = re.compile(r"\(\s*(INSERT|UPDATE|DELETE|REPLACE)\s", re.IGNORECASE)


def is_query(sql: str) -> bool:
    """Whether it looks like one query, and nothing else."""
    return bool(_READS.match(sql)) and not _CHANGES.search(sql)


def is_meant_to_write(statement: Any) -> bool:
    """Whether it is anything but a query."""
    if isinstance(statement, TextClause):
        return not is_query(statement.text)
    return any(isinstance(element, UpdateBase) for element in visitors.iterate(statement))
