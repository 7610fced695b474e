"""Where a store on PostgreSQL is: the URL as libpq writes it, and a few words of our own."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from diptych.errors import WiringError

SCHEMES = ("postgresql", "postgres")

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OURS = ("schema", "statement_cache_size")

LOCKS = 0x64697074
"""The first of the two numbers of our advisory locks: "dipt"."""


@dataclass(frozen=True)
class Address:
    """A database, and the schema in it that has a log.

    Attributes:
        dsn: For the driver; it may hold a password.
        statement_cache: Prepared statements that a connection keeps; 0 behind a pooler that hands
            each transaction to another connection.
        chosen: Whether the URL says how many; where it does not, a store looks for a pooler itself.
        where: For messages: without user and password.
    """

    dsn: str = field(repr=False)
    schema: str
    statement_cache: int
    chosen: bool
    where: str

    @property
    def lock(self) -> tuple[int, int]:
        """The store's advisory lock; such locks belong to a database."""
        return LOCKS, zlib.crc32(self.schema.encode()) - 2**31

    def url(self, driver: str) -> str:
        """The same for SQLAlchemy.

        Args:
            driver: Of SQLAlchemy's, for instance `asyncpg`.
        """
        return f"postgresql+{driver}://{self.dsn.partition('://')[2]}"


def address(url: str) -> Address:
    """Takes a URL apart.

    Raises:
        WiringError: It is malformed.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WiringError(f"store {_hidden(url)!r}: {error}. {_REMEDY}") from error
    given: Mapping[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = given.get("schema", "public")
    if not _SCHEMA.fullmatch(schema):
        raise WiringError(
            f"store {_hidden(url)!r}: schema={schema!r} is no plain name. Use lower-case letters, "
            "digits and '_', such as schema=orders."
        )
    size = given.get("statement_cache_size", "100")
    if not size.isdecimal():
        raise WiringError(
            f"store {_hidden(url)!r}: statement_cache_size={size!r} is no number. Use 0 behind a "
            "pooler in transaction mode, or leave it out."
        )
    rest = urlencode([pair for pair in given.items() if pair[0] not in _OURS])
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, rest, ""))
    host = given.get("host") or parts.hostname or "localhost"
    database = parts.path.removeprefix("/") or given.get("dbname", "")
    where = f"postgresql://{host}:{port or given.get('port', 5432)}/{database}"
    where += "" if schema == "public" else f" ({schema})"
    return Address(dsn, schema, int(size), "statement_cache_size" in given, where)


_REMEDY = "Write it as 'postgresql://user:password@host:5432/database'."


def _hidden(url: str) -> str:
    """Without the password, however malformed the rest is."""
    return re.sub(r"://([^:/@]*):[^@]*@", lambda found: f"://{quote(found[1])}:…@", url)
