"""Whether a PostgreSQL server is fit for a store, and what to do where not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from diptych.ops.findings import Finding, Severity

if TYPE_CHECKING:
    from diptych.adapters.postgres.server import Server, Transaction

OLDEST = 150_000
"""As the server numbers its versions."""

LONG = 600.0
"""Seconds after which an open transaction counts as forgotten."""

HELD = 5.0
"""Seconds for which nobody holds the store's lock who is well."""

OLD_ROWS = 1_000_000_000
"""Transactions since rows were frozen last; at two thousand millions the server refuses to write."""

APART = 5.0
"""Seconds that the clocks of this machine and of the server may differ."""


def judge_server(facts: Server, where: str, *, now: float) -> Iterator[Finding]:
    """All that can be said of a server.

    Args:
        where: The store, without a password.
        now: This machine's time in seconds.
    """
    version = f"PostgreSQL {facts.version // 10_000}.{facts.version % 10_000}"
    if facts.version < OLDEST:
        yield _finding(
            "server", "error", version, "is too old: 15 is needed", "Upgrade the server."
        )
    elif facts.is_replica or facts.read_only:
        what = "is a replica" if facts.is_replica else "begins transactions read-only"
        yield _finding(
            "server",
            "error",
            version,
            f"{what}: no command can commit",
            "Name the primary in the store's URL."
            if facts.is_replica
            else "ALTER ROLE … SET default_transaction_read_only = off.",
        )
    else:
        yield _finding("server", "ok", version, "is supported")
    yield from _judge_durability(facts)
    yield from _judge_isolation(facts)
    yield from _judge_rights(facts, where)
    yield from _judge_transactions(facts)
    yield from _judge_clock(facts, now)


def _judge_durability(facts: Server) -> Iterator[Finding]:
    if not facts.fsync or not facts.full_page_writes:
        setting = "full_page_writes=off" if facts.fsync else "fsync=off"
        yield _finding(
            "durability",
            "error",
            setting,
            "a crash of the machine may damage the database beyond repair",
            "Set fsync and full_page_writes to on, and restart the server.",
        )
    elif facts.synchronous_commit == "off":
        yield _finding(
            "durability",
            "error",
            "synchronous_commit=off",
            "a crash loses commits that were answered already",
            "Set synchronous_commit to on, for the server or for the user in the store's URL.",
        )
    else:
        yield _finding(
            "durability",
            "ok",
            f"synchronous_commit={facts.synchronous_commit}",
            "every commit is synced before it is answered",
        )


def _judge_isolation(facts: Server) -> Iterator[Finding]:
    if facts.isolation == "read committed":
        yield _finding("isolation", "ok", facts.isolation, "is the default, as it should be")
    else:
        yield _finding(
            "isolation",
            "warning",
            facts.isolation,
            "is the default here: each commit takes several trips instead of one",
            "ALTER ROLE … SET default_transaction_isolation = 'read committed', for the user in "
            "the store's URL.",
        )


def _judge_rights(facts: Server, where: str) -> Iterator[Finding]:
    if facts.missing:
        yield _finding(
            "permissions",
            "error",
            where,
            f"user {facts.user!r} lacks rights: {'; '.join(facts.missing)}",
            f"As the owner of the tables: {facts.grants}.",
        )
    elif facts.is_superuser:
        yield _finding(
            "permissions",
            "note",
            where,
            f"user {facts.user!r} is a superuser, who may do anything to all databases",
            "Let the app run as a user who may read and write these tables, and migrate as their "
            "owner (diptych migrate --store).",
        )
    else:
        may = "and create tables" if facts.may_create else "but not create tables"
        yield _finding(
            "permissions", "ok", where, f"user {facts.user!r} may read and write it, {may}"
        )


def _judge_transactions(facts: Server) -> Iterator[Finding]:
    holder, oldest = facts.holder, facts.oldest
    if holder is not None and (holder.seconds or 0) > HELD:
        yield _finding(
            "store-lock",
            "error",
            _named(holder),
            f"has had the store's lock for {holder.seconds:.0f} s: no command can commit",
            f"Let it end; or SELECT pg_terminate_backend({holder.pid}).",
        )
    else:
        yield _finding("store-lock", "ok", "store's lock", "nobody holds it for long")
    if oldest is not None and (oldest.seconds or 0) > LONG:
        yield _finding(
            "long-transaction",
            "warning",
            _named(oldest),
            f"has been open for {(oldest.seconds or 0) / 60:.0f} min: what was written since "
            "cannot be cleaned up, and everything grows and gets slower",
            f"Let it end; or SELECT pg_terminate_backend({oldest.pid}).",
        )
    else:
        yield _finding("long-transaction", "ok", "transactions", "none that can be seen is old")
    if facts.transactions > OLD_ROWS:
        yield _finding(
            "wraparound",
            "warning",
            f"{facts.transactions:,} transactions",
            "have passed since rows were frozen last; the server stops writing at 2,000,000,000",
            "Look why autovacuum does not come to an end (a long transaction, a replication slot, "
            "a prepared transaction), then VACUUM FREEZE.",
        )


def _judge_clock(facts: Server, now: float) -> Iterator[Finding]:
    apart = now - facts.now / 1_000_000
    if abs(apart) > APART:
        yield _finding(
            "server-clock",
            "warning",
            f"{abs(apart):.0f} s",
            f"this machine's clock is {'before' if apart > 0 else 'behind'} the server's",
            "Let both be set (NTP). The order of the log does not depend on it; lags do.",
        )


def _named(one: Transaction) -> str:
    known = ", ".join(word for word in (one.application, one.user, one.state) if word)
    return f"process {one.pid} ({known})" if known else f"process {one.pid}"


def _finding(
    code: str, severity: Severity, subject: str, message: str, remedy: str = ""
) -> Finding:
    return Finding(code=code, severity=severity, subject=subject, message=message, remedy=remedy)
