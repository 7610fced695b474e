"""Databases of a server's tests: each made from one template, and dropped behind the test's back."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

Work = Coroutine[Any, Any, None]
Prepare = Callable[[str], Work]


class Databases:
    """Works in a thread of its own, so that tests of any colour may call it."""

    def __init__(self, dsn: str, *, prepare: Prepare) -> None:
        """Makes the template.

        Args:
            dsn: Of any database of the server, as a role that may create databases.
            prepare: Given the DSN of the template; it must have left it when it returns.
        """
        self._dsn = dsn
        self._names = itertools.count()
        # several sessions may use one server
        self._prefix = f"diptych_{secrets.token_hex(4)}"
        self._template = f"{self._prefix}_template"
        self._drops: list[Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="databases", daemon=True
        )
        self._thread.start()
        try:
            self._wait(self._execute(f'CREATE DATABASE "{self._template}" TEMPLATE template0'))
            self._wait(prepare(with_database(dsn, self._template)))
        except BaseException:
            self._end()
            raise

    def new(self) -> str:
        """The DSN of a database that nobody else has."""
        name = f"{self._prefix}_{next(self._names)}"
        self._wait(self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"'))
        return with_database(self._dsn, name)

    def drop(self, dsn: str) -> None:
        """Later, and even if somebody is still connected; `close` says what went wrong."""
        self._drops = [drop for drop in self._drops if not drop.done() or drop.exception()]
        self._drops.append(self._submit(self._execute(_drop(urlsplit(dsn).path[1:]))))

    def close(self) -> None:
        """Waits for what is to be dropped, the template too."""
        try:
            for drop in self._drops:
                drop.result(60)
            self._wait(self._execute(_drop(self._template)))
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Work) -> None:
        self._submit(work).result(60)

    def _submit(self, work: Work) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _execute(self, sql: str) -> None:
        # connects each time: a test may have ended every connection of the server
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


def with_database(dsn: str, name: str) -> str:
    """The same server, user and options."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def _drop(name: str) -> str:
    return f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
