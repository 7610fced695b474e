"""The store that a command works on: where it is, and how it is thrown away on request."""

from pathlib import Path

MAGIC = b"SQLite format 3\0"
BESIDE = ("-wal", "-shm", "-journal", ".lock", ".lock-wal", ".lock-shm")


class Unusable(Exception):
    """The command cannot do what was asked; the message says why, and what to do."""


def url(store: str) -> str:
    """Of a store that was named by a file, or by its URL already."""
    return store if "://" in store else f"sqlite:///{store}"


def remove(store: str) -> None:
    """Deletes a file and what SQLite keeps beside it; refuses whatever is no SQLite file."""
    if "://" in store:
        raise Unusable("--fresh deletes a file, and nothing of a server: name an empty database.")
    path = Path(store)
    if path.exists():
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
        if head not in (b"", MAGIC):
            raise Unusable(f"{path} is no SQLite file: not deleted. Choose another --store.")
    for each in (path, *(Path(f"{path}{end}") for end in BESIDE)):
        each.unlink(missing_ok=True)
