"""Statements by which a session would end a transaction that is not its own."""

from __future__ import annotations

import re

from diptych.errors import BadResult

_ENDS = re.compile(
    r"(?:\s|;|--[^\n]*\n|/\*.*?\*/)*"
    r"(COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:TRANSACTION|WORK)\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)
"""A statement that would end the transaction, whatever stands before it."""

_INNERMOST = re.compile(r"/\*(?:(?!/\*|\*/).)*\*/", re.DOTALL)


def ending(sql: str) -> str | None:
    """The word by which a statement would end the transaction; None if it would not."""
    found = _ENDS.match(sql)
    if found is None and "/*" in sql:  # on PostgreSQL, comments may hold comments
        before = None
        while before != sql:
            before, sql = sql, _INNERMOST.sub(" ", sql)
        found = _ENDS.match(sql)
    return None if found is None else found[1].upper()


def refused_end(how: str) -> BadResult:
    """The error for whoever tries.

    Args:
        how: For instance "ran COMMIT".
    """
    return BadResult(
        "a handler",
        f"{how}. diptych commits, with the events: return them. "
        "Use session.begin_nested() for a part that may fail.",
    )


def was_ended(by: str) -> BadResult:
    """The error for whoever has tried, and went on."""
    return BadResult(
        "a handler",
        f"called {by}, so nothing of its work is left. Raise Refused for a no, and "
        "use session.begin_nested() for a part that may fail.",
    )
