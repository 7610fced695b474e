"""The server's disk is full: a named error, nothing half written, and the open app goes on after."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.judging import check_entries, demand, send_again
from tests.faults.ledger import app
from tests.faults.load import Load
from tests.faults.postgres_tables import fetch, stored_entries
from tests.faults.processes import Told, replay_line
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

LEDGERS = 20


@pytest.fixture
def server() -> Iterator[Postgres]:
    with Postgres(durable=False) as server:
        yield server


@pytest.fixture
def small_disk(server: Postgres) -> Iterator[Path]:
    """A file system of 16 MiB in memory, where the server may write; mounting one takes root."""
    folder = server.directory / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("SKIPPED LOUDLY: a small file system can only be mounted by root")
    owner = server.directory.stat()
    options = f"size=16m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"SKIPPED LOUDLY: mount is refused here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        server.stop()
        subprocess.run(["umount", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """To the last page."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def test_a_full_disk_is_named_leaves_nothing_half_written_and_is_got_over(
    server: Postgres, small_disk: Path
) -> None:
    replay = replay_line("test_postgres_disk", "none")
    await fetch(server.dsn(), f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    await fetch(server.dsn(), "CREATE DATABASE small TABLESPACE small")
    dsn = server.dsn(database="small")
    async with app(dsn) as ledger_app:
        load = Load(ledger_app, "d", callers=8, ledgers=LEDGERS, limit=10**6)
        async with load.running():
            await load.goes_on()
            fill(small_disk / "ballast")
            while not load.faults():
                await asyncio.sleep(0.01)
            full = load.faults()
            demand(full.keys() == {"StoreFull"}, f"a full disk is told as {full}", replay)
            (small_disk / "ballast").unlink()
            await load.goes_on()
        said = next(call.message for call in load.history if call.fault)
        demand("Make room, then send" in said, f"no remedy in: {said}", replay)
        certain = [
            Told(call.id, call.called, call.returned, refused=call.fault) if call.fault else call
            for call in load.history
        ]
        check_entries(await stored_entries(dsn), certain, LEDGERS, replay)
        await send_again(ledger_app, load.history, LEDGERS, lambda: stored_entries(dsn), replay)
