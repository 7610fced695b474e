"""What a result must be read with: machine, versions, settings, commit. No names, no paths."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "msgspec", "sqlalchemy", "asyncpg", "psycopg", "eventsourcing", "umadb", "python-cqrs",
    "uvloop",
)  # fmt: skip


def commit() -> str:
    """The commit under test, marked where src or benchmarks differ from it."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        return done.stdout.strip()

    head = git("rev-parse", "--short=10", "HEAD") or "unknown"
    changed = git("status", "--porcelain", "--", "src", "benchmarks")
    return f"{head}+changes" if changed else head


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def file_system(folder: Path) -> str:
    """Its type, as the kernel calls it."""
    done = subprocess.run(
        ["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def environment(data: Path) -> dict[str, Any]:
    kernel = ".".join(platform.release().split(".")[:2])
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "commit": commit(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(pages * size / 2**30),
            "system": f"{platform.system()} {kernel} {platform.machine()}",
            "file_system": file_system(data),
        },
        "versions": _versions(),
    }
