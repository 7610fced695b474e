"""Which sessions a database lends."""

from __future__ import annotations


def is_async_session(type_: type) -> bool:
    """Whether it is SQLAlchemy's, or one derived from it; told without loading SQLAlchemy."""
    return any(
        base.__name__ == "AsyncSession" and base.__module__.startswith("sqlalchemy.ext.asyncio")
        for base in type_.__mro__
    )
