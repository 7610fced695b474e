"""What is wrong with a server is found, and each finding says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from diptych.adapters.postgres.server import Server, Transaction
from diptych.ops.findings import Finding
from diptych.ops.server import judge_server

NOW = 1_800_000_000.0

WELL = Server(
    version=180_001,
    is_replica=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    isolation="read committed",
    read_only=False,
    now=1_800_000_000_000_000,
    user="app",
    is_superuser=False,
    may_create=False,
    missing=(),
    grants="GRANT …",
    oldest=None,
    holder=None,
    transactions=1_000,
)

STUCK = Transaction(
    pid=77, user="ann", application="psql", state="idle in transaction", seconds=1_500.0
)


def judged(**changes: Any) -> list[Finding]:
    return list(judge_server(replace(WELL, **changes), "postgresql://h:5432/db", now=NOW))


def test_a_server_that_is_well_has_nothing_wrong() -> None:
    assert {finding.severity for finding in judged()} == {"ok"}
    unseen = replace(STUCK, seconds=None)
    assert {finding.severity for finding in judged(holder=unseen, oldest=unseen)} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"version": 140_009}, "server", "error"),
        ({"is_replica": True}, "server", "error"),
        ({"read_only": True}, "server", "error"),
        ({"fsync": False}, "durability", "error"),
        ({"full_page_writes": False}, "durability", "error"),
        ({"synchronous_commit": "off"}, "durability", "error"),
        ({"isolation": "serializable"}, "isolation", "warning"),
        ({"missing": ("INSERT on diptych_events",)}, "permissions", "error"),
        ({"is_superuser": True}, "permissions", "note"),
        ({"holder": STUCK}, "store-lock", "error"),
        ({"oldest": STUCK}, "long-transaction", "warning"),
        ({"transactions": 1_500_000_000}, "wraparound", "warning"),
        ({"now": 1_800_000_060_000_000}, "server-clock", "warning"),
        ({"now": 1_799_999_940_000_000}, "server-clock", "warning"),
    ],
)
def test_what_is_wrong_with_a_server(changes: dict[str, Any], code: str, severity: str) -> None:
    (found,) = [finding for finding in judged(**changes) if finding.severity != "ok"]
    assert (found.code, found.severity) == (code, severity)
    assert found.remedy.endswith(".")


def test_who_stands_in_the_way_is_named() -> None:
    for change in ({"holder": STUCK}, {"oldest": STUCK}):
        (found,) = [finding for finding in judged(**change) if finding.severity != "ok"]
        assert found.subject == "process 77 (psql, ann, idle in transaction)"
        assert "pg_terminate_backend(77)" in found.remedy
