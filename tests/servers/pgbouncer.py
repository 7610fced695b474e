"""A real pgbouncer in transaction mode on 127.0.0.1, in front of a server of the tests.

The system's own program, where it is installed: `apt-get install pgbouncer`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))

SETTINGS = {
    "listen_addr": "127.0.0.1",
    "unix_socket_dir": "",
    "auth_type": "scram-sha-256",
    "pool_mode": "transaction",
    "max_client_conn": "200",
    # a client that is not served shows as one
    "query_wait_timeout": "20",
}


class PgBouncer:
    """One pooler for all databases of a server; it ends with the process that started it.

    Args:
        dsn: Of the server.
        connections: To the server, for each database.
    """

    def __init__(self, dsn: str, *, connections: int) -> None:
        self._server = urlsplit(dsn)
        self._connections = connections
        self._process: subprocess.Popen[bytes] | None = None
        self.directory = Path()
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        """What it said."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def version(self) -> tuple[int, ...]:
        """Such as (1, 18, 0)."""
        done = subprocess.run(
            [str(PROGRAM), "--version"], check=True, capture_output=True, text=True
        )
        found = re.search(r"PgBouncer ([\d.]+)", done.stdout)
        assert found, done.stdout
        return tuple(map(int, found[1].split(".")))

    def dsn(self, dsn: str) -> str:
        """To the same database as `dsn`, through the pooler."""
        parts = urlsplit(dsn)
        login, _, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self.port}"))

    def start(self) -> None:
        """Answers when it takes connections."""
        if PROGRAM is None:
            raise RuntimeError("pgbouncer is not installed: apt-get install pgbouncer")
        self.directory = Path(tempfile.mkdtemp(prefix="diptych-pgbouncer-"))
        users = self.directory / "users"
        users.write_text(f'"{self._server.username}" "{self._server.password}"\n')
        for _ in range(5):
            self.port = random.randrange(20_000, 32_000)  # as the server's: nobody's own port
            settings = {
                **SETTINGS,
                "listen_port": str(self.port),
                "auth_file": str(users),
                "default_pool_size": str(self._connections),
            }
            lines = ["[databases]", f"* = host={self._server.hostname} port={self._server.port}"]
            lines += ["[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
            configuration = self.directory / "pgbouncer.ini"
            configuration.write_text("\n".join([*lines, ""]))
            if self._run(configuration):
                return
        raise RuntimeError(f"pgbouncer does not start:\n{self.log}")

    def close(self) -> None:
        """Ends it, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, configuration: Path) -> bool:
        """Whether it got its port."""
        unprivileged: dict[str, Any] = {}
        if os.geteuid() == 0:  # which it refuses to be run by
            nobody = pwd.getpwnam("nobody")
            unprivileged = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                **unprivileged,
            )
        limit = time.monotonic() + 10
        while self._process.poll() is None and time.monotonic() < limit:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                # it may be somebody else's port
                if self._process.poll() is None and "listening on 127.0.0.1" in self.log:
                    return True
            time.sleep(0.01)
        self._process.kill()
        self._process.wait()
        self._process = None
        return False


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
