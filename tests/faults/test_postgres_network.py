"""A network that loses answers, or delivers what was given up: it is looked up, never guessed.

Judged by a session that knows nothing of diptych, and goes round that network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from diptych import App
from diptych.adapters.postgres import finding_out, pool, schema
from diptych.errors import CommitUnknown, StoreUnavailable
from tests.faults.ledger import Book, app
from tests.faults.postgres_tables import fetch
from tests.faults.proxy import Meets, Proxy, nothing

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

LINES = 2
ARRIVES = 1.5
"""Seconds after which what was held has been carried out, or never is: the lock of a transaction
whose client is silent is free after one."""


@pytest.fixture
async def network(postgres: str) -> AsyncIterator[Proxy]:
    async with Proxy(postgres) as network:
        yield network


@pytest.fixture
async def opened(network: Proxy) -> AsyncIterator[App]:
    async with app(network.dsn) as opened:
        await opened.execute(Book("l", "first", 1))
        yield opened


@pytest.fixture(params=["at once", "under the lock"])
def writes(request: pytest.FixtureRequest, opened: App) -> Meets:
    """Whether it is what a client sends to commit the entry "it"."""
    if request.param == "at once":
        return lambda sent: b'"it"' in sent
    opened._opened.store._opened.writer.remembered = None
    return lambda sent: b"COMMIT\0" in sent


class Once:
    """Whether it is that, for the first time, or for the times given."""

    def __init__(self, meets: Meets, *times: int) -> None:
        self._meets = meets
        self._times = times or (1,)
        self._seen = 0

    def __call__(self, sent: bytes) -> bool:
        if not self._meets(sent):
            return False
        self._seen += 1
        return self._seen in self._times


async def there(dsn: str) -> int:
    rows = await fetch(dsn, "SELECT 1 FROM diptych_events WHERE data LIKE '%\"it\"%'")
    return len(rows)


@pytest.mark.parametrize("silent", [False, True], ids=["breaks", "is silent"])
async def test_an_answer_that_was_lost_is_looked_up(
    opened: App, network: Proxy, writes: Meets, postgres: str, silent: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    network.swallow, network.is_silent = Once(writes), silent
    if silent:
        opened._opened.store._opened.writer._connection._config = (
            opened._opened.store._opened.writer._connection._config._replace(command_timeout=0.5)
        )
    receipt = await opened.execute(Book("l", "it", LINES))
    assert network.swallowed == 1
    assert await there(postgres) == LINES
    assert (receipt.position, receipt.version) == (1 + LINES, 1 + LINES)
    assert (await opened.execute(Book("l", "next", 1))).version == 2 + LINES


async def test_what_was_held_up_and_arrives_late_changes_nothing(
    opened: App, network: Proxy, writes: Meets, postgres: str
) -> None:
    network.hold = Once(writes)
    receipt = await opened.execute(Book("l", "it", LINES))
    assert len(network.held) == 1
    network.deliver()
    await asyncio.sleep(0.2)
    assert await there(postgres) == LINES
    assert receipt.version == 1 + LINES
    assert (await opened.execute(Book("l", "next", 1))).version == 2 + LINES


async def test_what_is_told_not_to_have_happened_never_does(
    opened: App, network: Proxy, writes: Meets, postgres: str
) -> None:
    # Both times; of those that say COMMIT, the second one ends the look-up in between.
    network.hold = Once(writes, 1, 2 if writes(b'"it"') else 3)
    with pytest.raises(StoreUnavailable):
        await opened.execute(Book("l", "it", LINES), id="it")
    assert await there(postgres) == 0
    network.deliver()
    await asyncio.sleep(ARRIVES)
    assert await there(postgres) == 0
    receipt = await opened.execute(Book("l", "it", LINES), id="it")
    assert receipt == await opened.execute(Book("l", "it", LINES), id="it")
    assert await there(postgres) == LINES


async def test_without_a_fence_it_happens_after_all(
    opened: App, network: Proxy, postgres: str
) -> None:
    """The control: a call that was given up arrives after somebody has looked for it in vain."""
    opened._opened.store.sql.fence = "SELECT 1"
    network.hold = Once(lambda sent: b'"it"' in sent, 1, 2)
    try:
        with pytest.raises(StoreUnavailable):
            await opened.execute(Book("l", "it", LINES))
        assert await there(postgres) == 0
        network.deliver()
        await asyncio.sleep(ARRIVES)
        assert await there(postgres) == LINES
    finally:
        schema.statements.cache_clear()


async def test_a_network_that_is_dead_for_a_while(
    opened: App, network: Proxy, writes: Meets, postgres: str
) -> None:
    network.swallow = Once(writes)
    call = asyncio.ensure_future(opened.execute(Book("l", "it", LINES)))
    while not network.swallowed:
        await asyncio.sleep(0.001)
    network.die()
    await asyncio.sleep(0.7)
    assert not call.done()
    network.is_dead = False
    assert (await call).version == 1 + LINES
    assert await there(postgres) == LINES


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_network_that_stays_dead_leaves_it_unknown(
    opened: App, network: Proxy, writes: Meets, postgres: str, arrives: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(finding_out, "PATIENCE", 0.5)
    if arrives:
        network.swallow = Once(writes)
    else:
        network.hold = Once(writes)
    call = asyncio.ensure_future(opened.execute(Book("l", "it", LINES), id="it"))
    while not network.swallowed and not network.held:
        await asyncio.sleep(0.001)
    network.die()
    with pytest.raises(CommitUnknown, match="send it again with the same id: it happens once"):
        await call
    for _ in range(2):  # meanwhile nothing is taken, and told so at once
        with pytest.raises(StoreUnavailable, match="Look whether the server runs there"):
            await opened.execute(Book("l", "other", 1), id="other")
    assert await there(postgres) == (LINES if arrives else 0)
    network.is_dead = False
    receipt = await opened.execute(Book("l", "it", LINES), id="it")
    assert (receipt.position, receipt.version) == (1 + LINES, 1 + LINES)
    network.deliver()
    await asyncio.sleep(0.2)
    assert receipt == await opened.execute(Book("l", "it", LINES), id="it")
    assert await there(postgres) == LINES


async def test_what_is_read_is_read_again(opened: App, network: Proxy) -> None:
    network.swallow = Once(lambda sent: b"\x00" in sent[1:])
    assert await opened.log.head() == 1
    assert network.swallowed == 1
    network.swallow = nothing
    assert await opened.log.head() == 1


async def test_an_app_is_left_although_the_server_says_nothing_more(
    network: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CLOSING", 0.3)
    async with app(network.dsn) as opened:
        await opened.execute(Book("l", "first", 1))
        await opened.log.head()
        network.swallow, network.is_silent = lambda sent: True, True
    network.is_silent = False
