"""A network between an app and its server that loses what it is told to lose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

Meets = Callable[[bytes], bool]


def nothing(sent: bytes) -> bool:
    return False


class Proxy:
    """Passes everything on, until it is told otherwise.

    Attributes:
        hold: What a client sends that meets this stays on its way, and its connection breaks.
        swallow: What a client sends that meets this arrives; its connection breaks before the
            answer.
        is_silent: Whether such connections do not break: they only say nothing more.
        is_dead: Whether no connection is to be had.
        held: What has not arrived yet.
        swallowed: How many answers were lost.
    """

    def __init__(self, dsn: str) -> None:
        self._there = urlsplit(dsn)
        self._clients: set[asyncio.StreamWriter] = set()
        self._mute: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self.hold: Meets = nothing
        self.swallow: Meets = nothing
        self.is_silent = self.is_dead = False
        self.held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self.swallowed = 0

    @property
    def dsn(self) -> str:
        """The way through here. Without TLS: what is sent must be readable."""
        netloc = f"{self._there.username}:{self._there.password}@127.0.0.1:{self._port}"
        return urlunsplit(self._there._replace(netloc=netloc, query="sslmode=disable"))

    async def __aenter__(self) -> Self:
        self._here = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._here.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._here.close()
        self.die()
        for server, _ in self.held:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def deliver(self) -> None:
        """What was held arrives now, late."""
        for server, sent in self.held:
            server.write(sent)

    def die(self) -> None:
        """Every connection breaks, and there are no new ones."""
        self.is_dead = True
        for client in list(self._clients):
            client.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(client)
        try:
            if not self.is_dead:
                await self._pass_on(reader, client)
        finally:
            self._clients.discard(client)
            client.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection(self._there.hostname, self._there.port)
        self._tasks.add(asyncio.create_task(self._answer(answers, client)))
        with suppress(OSError):
            while sent := await reader.read(1 << 20):
                if self.hold(sent):
                    self.held.append((server, sent))
                    if self.is_silent:
                        await reader.read()
                    return
                if self.swallow(sent):
                    self.swallowed += 1
                    self._mute.add(client)
                    server.write(sent)
                    await asyncio.sleep(0.05)  # meanwhile it is carried out
                    if self.is_silent:
                        await reader.read()
                    break
                server.write(sent)
        server.close()

    async def _answer(self, answers: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await answers.read(1 << 20):
                if client not in self._mute:
                    client.write(said)
        if client not in self._mute:
            client.close()
