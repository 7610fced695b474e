"""What an SQLAlchemy statement reads: the tables it names, wherever they stand in it.

Only imported when a statement is made: SQLAlchemy alone takes a quarter of a second.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, ColumnClause, TextClause
from sqlalchemy.sql.selectable import TableClause

_SUBQUERY = re.compile(r"\bselect\b", re.IGNORECASE)


class Named(NamedTuple):
    """The names of the tables in a statement, and whether it holds text that may name any."""

    tables: frozenset[str]
    has_text: bool


def tables_of(statement: Any) -> Named:
    """The tables that a statement names.

    Raises:
        TypeError: It is no statement.
    """
    if not isinstance(statement, ClauseElement):
        raise TypeError(
            f"{type(statement).__name__} is no statement. Use select(…) on views.table(…)."
        )
    found: set[str] = set()
    has_text = False
    for element in visitors.iterate(statement):
        if isinstance(element, TableClause):
            found.add(element.name)
        elif isinstance(element, TextClause) or (
            isinstance(element, ColumnClause)
            and element.is_literal
            and _SUBQUERY.search(element.name)
        ):
            has_text = True
    return Named(frozenset(found), has_text)
