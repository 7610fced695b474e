"""Which adapter a URL means: a literal table, nothing is looked for."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diptych.adapters.postgres.address import SCHEMES, address, hidden
from diptych.errors import ForeignStore, StoreUnavailable, WiringError
from diptych.log.inspection import Inspection
from diptych.log.pauses import Pausing
from diptych.log.port import Store
from diptych.read.port import ReadReplica, Shape, ViewStore

if TYPE_CHECKING:
    from diptych.adapters.postgres.server import Server


def refuse_unknown(url: str) -> None:
    """Looks at a URL without opening anything.

    Raises:
        WiringError: No adapter has this scheme, or a file is not named.
    """
    scheme, separator, path = url.partition("://")
    if scheme in SCHEMES:
        address(url)
        return
    if not separator or scheme not in ("memory", "sqlite"):
        raise WiringError(
            f"store {hidden(url)!r} is not known. Use 'postgresql://user:password@host/database', "
            "'sqlite:///file.db', 'sqlite://' or 'memory://'."
        )
    if scheme == "sqlite" and path and (len(path) < 2 or not path.startswith("/")):
        raise WiringError(
            f"store {url!r} names no file. Use 'sqlite:///file.db' (relative to where the program "
            "runs), 'sqlite:////absolute/file.db', or, for as long as the app is open, 'sqlite://'."
        )
    if scheme == "memory" and path:
        raise WiringError(f"store {url!r}: memory has no path. Use 'memory://'.")


def refuse_wake_dsn(url: str, dsn: str) -> None:
    """Looks at where an app wants to be woken from.

    Args:
        url: Of its store.

    Raises:
        WiringError: The store is no PostgreSQL, or `dsn` is none.
    """
    if url.partition("://")[0] not in SCHEMES:
        raise WiringError(
            f"wake_dsn= is for a store on PostgreSQL, which {url!r} is not. Leave it out."
        )
    if dsn.partition("://")[0] not in SCHEMES:
        raise WiringError(
            "wake_dsn= names no PostgreSQL. Write it as "
            "'postgresql://user:password@host:5432/database', or leave it out."
        )
    address(dsn)


def refuse_unread(read_store: str, store: str) -> None:
    """Looks at the URL of a replica.

    Raises:
        WiringError: It, or the store, is no PostgreSQL.
    """
    if not {url.partition("://")[0] for url in (read_store, store)} <= {*SCHEMES}:
        raise WiringError(
            f"read_store={hidden(read_store)!r}: answers are read from a replica where store= is "
            "a PostgreSQL, and the replica is one. Leave it out."
        )
    if address(read_store).schema != address(store).schema:
        raise WiringError(
            f"read_store={hidden(read_store)!r}: a replica has the same schema= as the store."
        )


def place_of_views(url: str | None, app: str) -> str | None:
    """Where views rest that name a store: None for beside the log of the app's own store.

    In an app on `memory://`, that word means a dictionary: views beside its log are in SQLite.
    """
    if url is None or url == app == "sqlite://":
        return None
    if url.partition("://")[0] in SCHEMES and app.partition("://")[0] in SCHEMES:
        return None if address(url).same_as(address(app)) else url
    if url.startswith("sqlite:///"):
        url = f"sqlite:///{os.path.abspath(url.removeprefix('sqlite:///'))}"
        if app.startswith("sqlite:///"):
            own = os.path.abspath(app.removeprefix("sqlite:///"))
            return None if url == f"sqlite:///{own}" else url
    return url


def build_store(
    url: str,
    *,
    reads: bool,
    waiting: int,
    retention: timedelta,
    own: Collection[str],
    wake_dsn: str | None = None,
) -> tuple[Store, ViewStore | None]:
    """The adapters for an app's URL, not yet open; drivers load here and nowhere else.

    Args:
        reads: Whether there are views or answerers; without them no view store is built.
        own: Tables that the app has named: a file that has one is its own.
        wake_dsn: Of the server itself, where a pooler stands in front.
    """
    scheme, _, path = url.partition("://")
    if scheme == "sqlite":
        from diptych.adapters.sqlite.store import SqliteStore
        from diptych.adapters.sqlite.views import ViewsBesideLog

        store = SqliteStore(_file(path), waiting=waiting, retention=retention, own=own)
        return store, ViewsBesideLog(store) if reads else None
    if scheme in SCHEMES:
        from diptych.adapters.postgres.store import PostgresStore
        from diptych.adapters.postgres.views import ViewsBesideLog as ViewsBesideLogThere

        there = PostgresStore(
            address(url),
            waiting=waiting,
            retention=retention,
            wake=address(wake_dsn) if wake_dsn else None,
        )
        return there, ViewsBesideLogThere(there) if reads else None
    from diptych.adapters.memory.store import MemoryStore

    memory = MemoryStore()
    if not reads:
        return memory, None
    from diptych.adapters.memory.views import MemoryViews

    return memory, MemoryViews(memory)


def build_replica(url: str, views: ViewStore) -> ReadReplica:
    """What reads from a copy of the store that `views` is beside, not yet open."""
    from diptych.adapters.postgres.replica import ViewsOnReplica
    from diptych.adapters.postgres.views import PostgresViews

    assert isinstance(views, PostgresViews)
    return ViewsOnReplica(address(url), views)


def build_view_store(url: str) -> ViewStore:
    """The adapter for the URL of a view that names its store, not yet open."""
    scheme, _, path = url.partition("://")
    if scheme == "sqlite":
        from diptych.adapters.sqlite.view_file import ViewsInFile

        return ViewsInFile(_file(path))
    if scheme in SCHEMES:
        from diptych.adapters.postgres.view_database import ViewsInDatabase

        return ViewsInDatabase(address(url))
    from diptych.adapters.dictionary.views import DictionaryViews

    return DictionaryViews()


def _file(path: str) -> Path | None:
    return Path(path[1:]) if path else None


def file_of(url: str) -> Path | None:
    """The file that a store is; None for one in memory."""
    scheme, _, path = url.partition("://")
    return Path(path[1:]) if scheme == "sqlite" and path else None


def where(url: str) -> str:
    """How a store is shown: without user and password."""
    return address(url).where if url.partition("://")[0] in SCHEMES else url


def build_inspection(url: str) -> Inspection | None:
    """What looks at a store from outside; None where nobody can (a store in memory)."""
    if url.partition("://")[0] in SCHEMES:
        from diptych.adapters.postgres.inspecting import PostgresInspection

        return PostgresInspection(address(url))
    path = file_of(url)
    if path is None:
        return None
    from diptych.adapters.sqlite.inspecting import SqliteInspection

    return SqliteInspection(path)


async def look_at_server(url: str) -> Server | None:
    """What the server of a store says of itself; None where there is no server.

    Raises:
        StoreFault: It cannot be reached.
    """
    if url.partition("://")[0] not in SCHEMES:
        return None
    from diptych.adapters.postgres.server import look_at_server

    return await look_at_server(address(url))


def build_pausing(url: str) -> Pausing | None:
    """What pauses views from outside; None where nobody can (a store in memory)."""
    if url.partition("://")[0] in SCHEMES:
        from diptych.adapters.postgres.pausing import PostgresPausing

        return PostgresPausing(address(url))
    path = file_of(url)
    if path is None:
        return None
    from diptych.adapters.sqlite.pausing import SqlitePausing

    return SqlitePausing(path)


async def plan_migration(
    url: str,
    context: str,
    *,
    shapes: Sequence[Shape],
    metadata: Sequence[Any],
    rows: Sequence[type],
    since: int | None,
) -> tuple[int, int, str]:
    """What opening a store would do to its tables.

    Args:
        shapes: Of views beside the log.
        metadata: SQLAlchemy's, of the app's own tables.
        rows: Mapped classes whose rows keep states.
        since: The format to begin with; the store is not looked at then.

    Returns:
        The format found (0: nothing is there), today's, and the SQL that is missing. A file gets
        its tables from the app that opens it: "" for SQLite.

    Raises:
        StoreFault: It cannot be read, or is another context's, or of a newer format.
    """
    if url.partition("://")[0] in SCHEMES:
        from diptych.adapters.postgres.migrating import Lacking, OwnTables, look_for, script
        from diptych.adapters.postgres.schema import FORMAT

        there = address(url)
        own = OwnTables(there.schema, shapes, metadata, rows)
        if since is None:
            lacking = await look_for(there, context, own.names)
        else:
            lacking = Lacking(since, frozenset() if since else frozenset(own.names))
        sql = script(there, lacking.found, own.creating(lacking.tables))
        return lacking.found, FORMAT, sql
    inspection, path = build_inspection(url), file_of(url)
    if inspection is None or path is None:
        return 0, 0, ""
    from diptych.adapters.sqlite.schema import FORMAT as FILE_FORMAT

    if not path.exists():
        return 0, FILE_FORMAT, ""
    try:
        standing = await inspection.standing()
    except StoreUnavailable:  # nothing of ours is in it yet
        return 0, FILE_FORMAT, ""
    if standing.context != context:
        raise ForeignStore(
            f"{path} belongs to context {standing.context!r}, this app is {context!r}. "
            "Look at the app's store=, or name another file."
        )
    return FILE_FORMAT, FILE_FORMAT, ""
