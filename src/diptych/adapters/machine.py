"""What the machine says of itself: processes, mounts, disks, and the libraries in this process."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct

from diptych.log.inspection import Process

Sight: TypeAlias = Literal["there", "frozen", "another", "gone", "elsewhere"]
"""A process as the system sees it: there, stopped by a signal, another one under the same number,
gone, or not to be seen from here."""

NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre", "davfs")
"""File systems on which SQLite's locks or its shared memory do not work; by how their names begin."""


class Interpreter(Struct, frozen=True, kw_only=True):
    """This Python, and what is loaded into it.

    Attributes:
        bits: Of a pointer.
        sqlite_libraries: Files of SQLite libraries that are mapped, and modules that bring one.
    """

    python: tuple[int, int, int]
    implementation: str
    bits: int
    threads_free: bool
    system: str
    sqlite: tuple[int, int, int]
    sqlite_serialized: bool
    sqlite_libraries: tuple[str, ...]


class Place(Struct, frozen=True, kw_only=True):
    """Where a file is, or would be.

    Attributes:
        directory: The nearest directory that is there.
        is_directory: Whether the file's own directory is there.
        mount: Mount point; None where that cannot be told.
        kind: Of the file system: ``ext4``, ``nfs4``; None where that cannot be told.
        free: Bytes that this user may still write.
        exposed: Whether everybody may write the file.
    """

    path: str
    directory: str
    is_directory: bool
    mount: str | None
    kind: str | None
    free: int
    total: int
    size: int | None
    wal: int | None
    may_read: bool
    may_write: bool
    may_write_beside: bool
    exposed: bool

    @property
    def is_remote(self) -> bool:
        """Whether it is on a network."""
        return self.kind is not None and self.kind.startswith(NETWORK)


def interpreter() -> Interpreter:
    """Looks at this process."""
    import sqlite3

    major, minor, micro = sys.version_info[:3]
    old, minor_sqlite, patch = sqlite3.sqlite_version_info
    return Interpreter(
        python=(major, minor, micro),
        implementation=platform.python_implementation(),
        bits=struct.calcsize("P") * 8,
        threads_free=not getattr(sys, "_is_gil_enabled", lambda: True)(),
        system=platform.system(),
        sqlite=(old, minor_sqlite, patch),
        sqlite_serialized=sqlite3.threadsafety == 3,
        sqlite_libraries=_sqlite_libraries(),
    )


def _sqlite_libraries() -> tuple[str, ...]:
    found: list[str] = [
        name for name in ("apsw", "pysqlite3", "sqlean", "sqlcipher3") if name in sys.modules
    ]
    with suppress(OSError):
        mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
        found += sorted(path for path in mapped if "/libsqlite3" in path or "/libsqlcipher" in path)
    return tuple(found)


def place_of(path: Path) -> Place:
    """Looks at where a file is. The file itself is not opened."""
    full = path.absolute()
    near = next(parent for parent in full.parents if parent.is_dir())
    mount, kind = _mount_of(near)
    usage = shutil.disk_usage(near)
    size, wal, mode = None, None, 0
    with suppress(OSError):
        found = full.stat()
        size, mode = found.st_size, found.st_mode
        wal = Path(f"{full}-wal").stat().st_size
    return Place(
        path=str(full),
        directory=str(near),
        is_directory=near == full.parent,
        mount=mount,
        kind=kind,
        free=usage.free,
        total=usage.total,
        size=size,
        wal=wal,
        may_read=os.access(full, os.R_OK),
        may_write=os.access(full, os.W_OK),
        may_write_beside=os.access(full.parent, os.W_OK | os.X_OK),
        exposed=bool(mode & 0o002),
    )


def _mount_of(directory: Path) -> tuple[str | None, str | None]:
    """The last mount that holds it; Linux only."""
    best: tuple[str | None, str | None] = (None, None)
    with suppress(OSError):
        real = directory.resolve()
        for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
            _, point, kind, *_ = line.split(" ")
            at = Path(point.replace("\\040", " "))
            if (at == real or at in real.parents) and len(str(at)) >= len(best[0] or ""):
                best = str(at), kind
    return best


def space() -> str:
    """Which numbering of processes this one's pid belongs to (containers have their own)."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def world() -> str:
    """The same, told apart from those of other machines, which may even have the same name."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {space()}"
    return space()


def sight(process: Process) -> Sight:
    """How the system sees a process that once said it was there."""
    if process.host != socket.gethostname() or process.space not in (space(), world()):
        return "elsewhere"
    if os.name == "nt":
        return "elsewhere"  # there is no asking without interrupting it
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        pass  # there, and somebody else's
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
    except (OSError, StopIteration):
        return "there"
    if fields[0] in "ZX":
        return "gone"
    if fields[0] in "Tt":
        return "frozen"
    began = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return "another" if began > process.started / 1_000_000 + 5 else "there"
