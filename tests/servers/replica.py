"""Replicas: a server that follows another one, and one that comes back as nobody's."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.servers.postgres import Postgres


class Replica(Postgres):
    """Follows a server that runs, from a copy of its files."""

    def __init__(self, primary: Postgres) -> None:
        super().__init__(durable=False)
        self._primary = primary
        self._password = primary._password

    def _make(self) -> None:
        super()._make()
        shutil.rmtree(self.data)
        words = [str(self._programs / "bin/pg_basebackup"), "-D", str(self.data), "-R"]
        words += ["-X", "stream", "-c", "fast", "-d", self._primary.dsn()]
        done = subprocess.run(words, capture_output=True, text=True, **self._unprivileged())
        if done.returncode:
            raise RuntimeError(f"pg_basebackup ended with {done.returncode}:\n{done.stderr}")


def become_replica(server: Postgres) -> None:
    """Of nobody: it can be read, and promoted by `SELECT pg_promote()`."""
    server.stop()
    signal = server.data / "standby.signal"
    signal.touch()
    owner = server.data.stat()
    os.chown(signal, owner.st_uid, owner.st_gid)
    server.start()
