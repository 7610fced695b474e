"""A disk in memory that remembers each write and sync, and can be cut off after any of them.

Imports apsw, so it lives in a process in which sqlite3 is never loaded: two SQLite libraries in
one process drop each other's locks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal

import apsw

SECTOR = 512

Mode = Literal["keep", "drop", "tear"]


@dataclass(frozen=True)
class Write:
    file: str
    offset: int
    content: bytes


@dataclass(frozen=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True)
class Sync:
    file: str


@dataclass(frozen=True)
class Delete:
    file: str


@dataclass(frozen=True)
class Acknowledged:
    """Not an act of the disk: the application was told that this state, by number, is safe."""

    state: int


Step = Write | Truncate | Sync | Delete | Acknowledged


@dataclass
class Disk:
    """What every file holds now, and the steps that led there."""

    lies: bool = False
    files: dict[str, bytearray] = field(default_factory=dict[str, bytearray])
    steps: list[Step] = field(default_factory=list[Step])

    def took(self, step: Step) -> None:
        if isinstance(step, Sync) and self.lies:
            return
        self.steps.append(step)


def _apply(content: bytearray, step: Write | Truncate) -> None:
    if isinstance(step, Truncate):
        del content[step.size :]
        return
    end = step.offset + len(step.content)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[step.offset : end] = step.content


@dataclass
class Platter:
    """What is safe after a prefix of the steps, and what is still on its way."""

    safe: dict[str, bytearray] = field(default_factory=dict[str, bytearray])
    pending: dict[str, list[Write | Truncate]] = field(
        default_factory=dict[str, list[Write | Truncate]]
    )

    def advance(self, step: Step) -> None:
        match step:
            case Write() | Truncate():
                self.pending.setdefault(step.file, []).append(step)
            case Sync(file):
                content = self.safe.setdefault(file, bytearray())
                for waiting in self.pending.pop(file, []):
                    _apply(content, waiting)
            case Delete(file):
                self.safe.pop(file, None)
                self.pending.pop(file, None)
            case Acknowledged():
                pass

    def after_a_cut(self, mode: Mode, chance: random.Random) -> dict[str, bytearray]:
        """The files as the next start finds them: unsynced writes kept, dropped, or torn."""
        files = {name: bytearray(content) for name, content in self.safe.items()}
        for name, waiting in self.pending.items():
            if mode == "drop":
                continue
            content = files.setdefault(name, bytearray())
            for step in waiting:
                if mode == "keep":
                    _apply(content, step)
                else:
                    _tear(content, step, chance)
        return files


def _tear(content: bytearray, step: Write | Truncate, chance: random.Random) -> None:
    """A third whole, a third not at all, of a third some sectors: also out of order."""
    fate = chance.randrange(3)
    if fate == 0:
        _apply(content, step)
    if fate < 2 or isinstance(step, Truncate):
        return
    start = step.offset
    while start < step.offset + len(step.content):
        end = min(start - start % SECTOR + SECTOR, step.offset + len(step.content))
        if chance.random() < 0.5:
            part = step.content[start - step.offset : end - step.offset]
            _apply(content, Write(step.file, start, part))
        start = end


class MemoryVFS(apsw.VFS):
    """Hands SQLite the files of one Disk. No shared memory, hence locking_mode=EXCLUSIVE."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.disk = disk
        super().__init__(name, "")

    def xOpen(self, name: object, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name or "temporary")
        flags[1] = flags[0]
        return _File(self.disk, path)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.disk.files.pop(filename, None) is not None:
            self.disk.took(Delete(filename))

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self.disk.files

    def xFullPathname(self, name: str) -> str:
        return name


class _File:
    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._content = disk.files.setdefault(path, bytearray())

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        step = Write(self._path, offset, bytes(data))
        _apply(self._content, step)
        self._disk.took(step)

    def xTruncate(self, size: int) -> None:
        step = Truncate(self._path, size)
        _apply(self._content, step)
        self._disk.took(step)

    def xSync(self, flags: int) -> None:
        self._disk.took(Sync(self._path))

    def xFileSize(self) -> int:
        return len(self._content)

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        # what SQLite's own unix layer promises by default: a write leaves its neighbours alone
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE)

    def xClose(self) -> None: ...
