"""Which adapter a URL means: a literal table, nothing is looked for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from diptych.errors import WiringError
from diptych.log.port import Store
from diptych.read.port import ViewStore


def refuse_unknown(url: str) -> None:
    """Looks at a URL without opening anything.

    Raises:
        WiringError: No adapter has this scheme, or a file is not named.
    """
    scheme, separator, path = url.partition("://")
    if not separator or scheme not in ("memory", "sqlite"):
        raise WiringError(
            f"store {url!r} is not known. Use 'sqlite:///file.db', 'sqlite://' or 'memory://'."
        )
    if scheme == "sqlite" and path and (len(path) < 2 or not path.startswith("/")):
        raise WiringError(
            f"store {url!r} names no file. Use 'sqlite:///file.db' (relative to where the program "
            "runs), 'sqlite:////absolute/file.db', or, for as long as the app is open, 'sqlite://'."
        )
    if scheme == "memory" and path:
        raise WiringError(f"store {url!r}: memory has no path. Use 'memory://'.")


def build_store(
    url: str, *, reads: bool, waiting: int, retention: timedelta
) -> tuple[Store, ViewStore | None]:
    """The adapters for a URL, not yet open; drivers load here and nowhere else.

    Args:
        reads: Whether there are views or answerers; without them no view store is built.
    """
    scheme, _, path = url.partition("://")
    if scheme == "sqlite":
        from diptych.adapters.sqlite.store import SqliteStore
        from diptych.adapters.sqlite.views import SqliteViews

        file = Path(path[1:]) if path else None
        store = SqliteStore(file, waiting=waiting, retention=retention)
        return store, SqliteViews(store) if reads else None
    from diptych.adapters.memory.store import MemoryStore

    memory = MemoryStore()
    if not reads:
        return memory, None
    from diptych.adapters.memory.views import MemoryViews

    return memory, MemoryViews(memory)
