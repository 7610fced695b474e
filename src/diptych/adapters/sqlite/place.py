"""Where a database lies: in a file, or in memory for as long as it is open.

SQLite's own databases in memory have no snapshots beside a writer. So one "in memory" is a file in
a folder of this process's own, never synced, and removed when it is closed.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from diptych.errors import StoreUnavailable


class Place:
    """The file of a database.

    Args:
        path: Its directory must exist. None for a database in memory; its folder is in the
            system's temporary directory (`TMPDIR`), and left behind only where the process is
            killed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._folder: TemporaryDirectory[str] | None = None

    @property
    def in_memory(self) -> bool:
        """Whether it is gone when it is closed."""
        return self._path is None

    @property
    def path(self) -> Path:
        """Of the file; of none while a database in memory is closed."""
        if self._path is not None:
            return self._path
        return Path(
            "sqlite in memory" if self._folder is None else f"{self._folder.name}/memory.db"
        )

    def enter(self) -> None:
        """Makes sure that there is a directory.

        Raises:
            StoreUnavailable: There is none.
        """
        if self._path is None:
            self._folder = TemporaryDirectory(prefix="diptych-")
        elif not self._path.parent.is_dir():
            raise StoreUnavailable(
                f"{self._path.parent} is no directory. Create it, or name another file."
            )

    def leave(self) -> None:
        """Removes what was there for this time only."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()
