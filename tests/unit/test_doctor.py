"""What the doctor says of machines, files and stores that are made up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from diptych.adapters.machine import Interpreter, Place, interpreter, place_of
from diptych.log.inspection import Standing
from diptych.ops.doctor import judge_interpreter, judge_place, judge_store
from diptych.ops.findings import Exit, Finding, exit_of

GOOD = Interpreter(
    python=(3, 12, 1),
    implementation="CPython",
    bits=64,
    threads_free=False,
    system="Linux",
    sqlite=(3, 52, 0),
    sqlite_serialized=True,
    sqlite_libraries=("/usr/lib/libsqlite3.so.0",),
)

WELL = Place(
    path="/data/shop.db",
    directory="/data",
    is_directory=True,
    mount="/",
    kind="ext4",
    free=100 << 30,
    total=200 << 30,
    size=4096,
    wal=0,
    may_read=True,
    may_write=True,
    may_write_beside=True,
    exposed=False,
)


def changed(facts: Any, **changes: Any) -> Any:
    fields = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return type(facts)(**{**fields, **changes})


def wrong(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    found = [one for one in findings if one.severity != "ok"]
    assert all(one.remedy for one in found)
    return [(one.code, one.severity) for one in found]


def test_a_good_machine_is_told_to_be_good() -> None:
    assert wrong(judge_interpreter(GOOD)) == []
    assert wrong(judge_place(WELL)) == []


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"python": (3, 10, 9)}, "python", "error"),
        ({"bits": 32}, "python", "warning"),
        ({"threads_free": True}, "python", "warning"),
        ({"sqlite": (3, 37, 2)}, "sqlite", "error"),
        ({"sqlite_serialized": False}, "sqlite", "error"),
        ({"sqlite": (3, 40, 1)}, "sqlite", "warning"),
        ({"sqlite": (3, 51, 2)}, "sqlite", "warning"),
        ({"sqlite": (3, 50, 6)}, "sqlite", "warning"),
        ({"sqlite_libraries": ("apsw", "/usr/lib/libsqlite3.so.0")}, "sqlite-libraries", "error"),
        ({"system": "Darwin"}, "durability", "warning"),
    ],
)
def test_what_is_wrong_with_an_interpreter(
    changes: dict[str, Any], code: str, severity: str
) -> None:
    assert wrong(judge_interpreter(changed(GOOD, **changes))) == [(code, severity)]


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 44, 6), (3, 50, 7), (3, 53, 0)])
def test_lines_of_sqlite_that_have_the_fix_are_well(version: tuple[int, int, int]) -> None:
    assert wrong(judge_interpreter(changed(GOOD, sqlite=version))) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"is_directory": False, "size": None}, [("store", "error")]),
        ({"size": None}, [("store", "warning")]),
        ({"kind": "nfs4"}, [("file-system", "error")]),
        ({"kind": "cifs"}, [("file-system", "error")]),
        ({"kind": "9p"}, [("file-system", "error")]),
        ({"kind": "fuse.sshfs"}, [("file-system", "error")]),
        ({"kind": "tmpfs"}, [("file-system", "warning")]),
        ({"kind": None, "mount": None}, []),
        ({"free": 10 << 20}, [("disk", "error")]),
        ({"free": 500 << 20}, [("disk", "warning")]),
        ({"wal": 1 << 30}, [("wal", "warning")]),
        ({"may_write": False}, [("permissions", "error")]),
        ({"may_read": False}, [("permissions", "error")]),
        ({"may_write_beside": False}, [("permissions", "error")]),
        ({"exposed": True}, [("permissions", "warning")]),
    ],
)
def test_what_is_wrong_with_a_place(
    changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert wrong(judge_place(changed(WELL, **changes))) == expected


def store(**changes: Any) -> Standing:
    fields: dict[str, Any] = {
        "context": "shop",
        "epoch": "e",
        "now": 1_800_000_000_000_000,
        "head": 3,
        "head_time": 1_800_000_000_000_000,
        "checkpoints": {},
        "pauses": {},
        "oldest": {},
        "processes": (),
    }
    return Standing(**{**fields, **changes})


def test_what_is_wrong_with_a_store() -> None:
    now = 1_800_000_000.0
    assert wrong(judge_store("shop", store(), now=now)) == []
    assert wrong(judge_store("bank", store(), now=now)) == [("store", "error")]
    assert wrong(judge_store("shop", store(), now=now - 3600)) == [("clock", "warning")]
    old = store(head_time=None)
    assert wrong(judge_store("shop", old, now=1_000_000.0)) == [("clock", "warning")]


def test_this_machine_is_looked_at() -> None:
    here = interpreter()
    assert here.python >= (3, 11, 0)
    assert here.sqlite >= (3, 38, 0)
    assert [one for one in here.sqlite_libraries if "apsw" in one] == []


def test_a_file_is_looked_at_where_it_is_and_where_it_would_be(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    missing = place_of(tmp_path / "deep" / "er" / "a.db")
    assert (missing.size, missing.is_directory, missing.directory) == (None, False, str(tmp_path))
    file.write_bytes(b"12345")
    Path(f"{file}-wal").write_bytes(b"12")
    found = place_of(file)
    assert (found.size, found.wal, found.is_directory) == (5, 2, True)
    assert found.total >= found.free > 0


def test_errors_fail_always_and_warnings_if_they_count() -> None:
    def one(severity: Any) -> Finding:
        return Finding(code="c", severity=severity, subject="s", message="m")

    assert exit_of([one("ok"), one("note")], strict=True) is Exit.OK
    assert exit_of([one("warning")], strict=False) is Exit.OK
    assert exit_of([one("warning")], strict=True) is Exit.WARNINGS
    assert exit_of([one("warning"), one("error")], strict=True) is Exit.FINDINGS
    assert exit_of([one("error")], strict=False) is Exit.FINDINGS
