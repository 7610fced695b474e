"""Where a store on PostgreSQL is: the URL as libpq writes it, and a few words of our own."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from diptych.errors import WiringError

SCHEMES = ("postgresql", "postgres")

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PORT = re.compile(r"(?<=[^:]):\d{1,5}$")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::\d{1,5})?")
_OURS = ("schema", "statement_cache_size")
_THEIRS = (
    "application_name dbname gsslib host krbsrvname options passfile password port service "
    "ssl_max_protocol_version ssl_min_protocol_version sslcert sslcrl sslkey sslmode "
    "sslnegotiation sslpassword sslrootcert target_session_attrs user"
).split()
"""What asyncpg knows of libpq's parameters; it would hand others to the server as settings."""

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

    def same_as(self, other: Address) -> bool:
        """Whether it is the same schema of the same database, as far as the names say."""
        return self.where == other.where

    def stream_lock(self, tenant: str, stream: str) -> tuple[int, int]:
        """The lock of those who write to one stream with statements of their own; two streams may
        have the same one."""
        name = "\0".join((self.schema, tenant, stream))
        return LOCKS + 1, zlib.crc32(name.encode()) - 2**31

    def url(self, driver: str) -> str:
        """The same for SQLAlchemy.

        Args:
            driver: Of SQLAlchemy's, for instance `asyncpg`.
        """
        return f"postgresql+{driver}://{self.dsn.partition('://')[2]}"


def address(url: str) -> Address:
    """Takes a URL apart.

    Raises:
        WiringError: It is malformed, or says something that is not known here.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _malformed(url) from None  # what Python says of it may hold the password
    user, _, hosts = parts.netloc.rpartition("@")
    given: Mapping[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if (
        any("@" in part for part in (user, parts.path, *given))
        or parts.fragment
        or not all(_HOST.fullmatch(host) for host in hosts.split(","))
    ):
        raise _malformed(url)
    for name in given:
        if name not in _OURS and name not in _THEIRS:
            raise WiringError(
                f"store {hidden(url)!r}: parameter {name!r} is not known. Leave it out; known are "
                f"{', '.join((*_OURS, *_THEIRS))}."
            )
    schema = given.get("schema", "public")
    if not _SCHEMA.fullmatch(schema):
        raise WiringError(
            f"store {hidden(url)!r}: schema={schema!r} is no plain name. Use lower-case letters, "
            "digits and '_', such as schema=orders."
        )
    size = given.get("statement_cache_size", "100")
    if not size.isdecimal():
        raise WiringError(
            f"store {hidden(url)!r}: statement_cache_size={size!r} is no number. Use 0 behind a "
            "pooler in transaction mode, or leave it out."
        )
    port = given.get("port", "5432")
    if not all(one.isdecimal() for one in port.split(",")):
        raise _malformed(url)
    rest = urlencode([pair for pair in given.items() if pair[0] not in _OURS])
    dsn = f"postgresql://{parts.netloc}{parts.path}" + (f"?{rest}" if rest else "")
    hosts = hosts or given.get("host", "localhost")
    database = parts.path.removeprefix("/") or given.get("dbname", "")
    shown = ",".join(host if _PORT.search(host) else f"{host}:{port}" for host in hosts.split(","))
    where = f"postgresql://{shown}/{database}"
    where += "" if schema == "public" else f" ({schema})"
    return Address(dsn, schema, int(size), "statement_cache_size" in given, where)


def _malformed(url: str) -> WiringError:
    return WiringError(
        f"store {hidden(url)!r} is malformed. Write it as "
        "'postgresql://user:password@host:5432/database', and characters such as '@', '/', '#', "
        "'?' and ':' in a name or a password as '%40' and so on (urllib.parse.quote)."
    )


def hidden(url: str) -> str:
    """Without the password, however malformed the rest is."""
    url = re.sub(r"://([^:/@?#]*):.*@", r"://\1:…@", url, flags=re.DOTALL)
    return re.sub(r"((?:ssl)?password=)[^&]*", r"\1…", url)
