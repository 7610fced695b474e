"""A store on PostgreSQL is looked at from outside: what is seen is true, and nothing is written."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from diptych.adapters.opening import build_inspection, build_pausing, look_at_server
from diptych.adapters.postgres import presence
from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.connection import begin
from diptych.errors import ForeignStore, StoreUnavailable
from diptych.log.inspection import Inspection, Process, Wanted
from diptych.log.presence import SILENT
from diptych.ops.words import life
from tests.integration.pots import Put, bank
from tests.integration.test_presence import until
from tests.servers.asking import sql


def inspection(url: str) -> Inspection:
    found = build_inspection(url)
    assert found is not None
    return found


async def content(dsn: str) -> dict[str, list[Any]]:
    """All tables with all their rows."""
    names = await sql(
        dsn,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind = 'r'",
    )
    return {name: sorted(await sql(dsn, f'SELECT * FROM "{name}"'), key=repr) for (name,) in names}


async def test_every_look_leaves_all_as_it_was(postgres: str) -> None:
    async with bank(postgres) as app:
        for _ in range(5):
            await app.execute(Put("a", 1))
        await app.settled()
    before = await content(postgres)
    standing = await inspection(postgres).standing()
    assert (standing.context, standing.head) == ("bank", 5)
    assert standing.checkpoints["total@1"].position == 5
    assert standing.size is not None
    assert standing.size > 0
    last = await inspection(postgres).last(Wanted(), limit=3)
    assert [event.position for event in last.events] == [3, 4, 5]
    assert last == await inspection(postgres).after(Wanted(), after=2, limit=10)
    assert await content(postgres) == before


async def test_who_may_only_read_may_look(postgres: str) -> None:
    async with bank(postgres) as app:
        await app.execute(Put("a", 1))
    await sql(
        postgres,
        "ALTER DATABASE " + postgres.rpartition("/")[2] + " SET default_transaction_read_only = on",
    )
    assert (await inspection(postgres).standing()).head == 1


async def test_a_database_without_a_store_is_told_and_left_as_it_is(postgres: str) -> None:
    before = await content(postgres)
    with pytest.raises(StoreUnavailable, match=r"Start the app once.*diptych migrate"):
        await inspection(postgres).standing()
    pausing = build_pausing(postgres)
    assert pausing is not None
    with pytest.raises(StoreUnavailable, match=r"Start the app once.*diptych migrate"):
        await pausing.pause(until("total@1", 60), context="bank")
    assert await content(postgres) == before


async def test_another_format_is_refused(postgres: str) -> None:
    async with bank(postgres):
        pass
    await sql(postgres, "UPDATE diptych_store SET format = 99")
    with pytest.raises(ForeignStore, match="format 99"):
        await inspection(postgres).standing()


async def test_a_pause_is_written_into_a_store_of_that_context_only(postgres: str) -> None:
    async with bank(postgres):
        pass
    pausing = build_pausing(postgres)
    assert pausing is not None
    with pytest.raises(ForeignStore, match="belongs to context 'bank'"):
        await pausing.pause(until("total@1", 60), context="shop")
    assert (await inspection(postgres).standing()).pauses == {}


async def test_a_pause_lasts_as_long_as_was_asked_by_the_clock_of_the_database(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bank(postgres):
        pass
    pausing = build_pausing(postgres)
    assert pausing is not None
    for module in ("pausing", "inspecting"):
        monkeypatch.setattr(f"diptych.adapters.postgres.{module}.now", lambda: "1000000::bigint")
    await pausing.pause(until("total@1", 60), context="bank")
    standing = await inspection(postgres).standing()
    pause = standing.pauses["total@1"]
    assert (standing.now, pause.since, pause.until) == (1_000_000, 1_000_000, 61_000_000)


async def test_events_are_found_by_stream_and_by_name_over_many_windows(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.adapters.postgres.inspecting.WINDOW", 3)
    async with bank(postgres) as app:
        for number in range(12):
            await app.execute(Put("ab"[number % 2], 1))
    there = inspection(postgres)

    async def last(limit: int, **wanted: Any) -> list[int]:
        batch = await there.last(Wanted(**wanted), limit=limit)
        return [event.position for event in batch.events]

    assert await last(2, stream="pot:a") == [9, 11]
    assert await last(100, stream="pot:b") == [2, 4, 6, 8, 10, 12]
    assert await last(3, stream="pot:b", names=("added",)) == [8, 10, 12]
    assert await last(8, names=("added",)) == [*range(5, 13)]
    assert await last(3, names=("nothing",)) == []
    assert await last(3, stream="pot:b", tenant="other") == []
    some = await there.after(Wanted(stream="pot:a"), after=3, limit=2)
    assert ([event.position for event in some.events], some.through) == ([5, 7], 7)
    found = await there.after(Wanted(names=("added",)), after=2, limit=8)
    assert [event.position for event in found.events] == [*range(3, 11)]
    none = await there.after(Wanted(names=("rare",)), after=0, limit=8)
    assert (none.events, none.through) == ([], 12)


async def test_a_process_of_another_machine_of_the_same_name_is_not_taken_for_one_of_here(
    postgres: str,
) -> None:
    from diptych.adapters.machine import sight

    async with bank(postgres) as app:
        await app.execute(Put("a", 1))
        await app.settled()
        while not (found := (await inspection(postgres).standing()).processes):
            await asyncio.sleep(0.01)
        assert sight(found[0]) == "there"
        boot, _, numbers = found[0].space.partition(" ")
        assert numbers
        there: Process = type(found[0])(
            id="x",
            host=found[0].host,
            space=f"{boot[::-1]} {numbers}",
            pid=2**22 + 1,  # nobody's
            started=found[0].started,
            seen=found[0].seen,
            left=None,
            views=(),
        )
        assert life(there, now=there.seen, sight=sight) == "running"
        late = there.seen + int(SILENT * 2_000_000)
        assert life(there, now=late, sight=sight) == "silent"


async def test_two_who_were_away_forget_each_other_without_waiting(postgres: str) -> None:
    async with bank(postgres):
        pass
    one, other = await asyncpg.connect(postgres), await asyncpg.connect(postgres)
    here, there = presence.Attendance("public"), presence.Attendance("public")
    await here.attend(one, ())
    await sql(postgres, "UPDATE diptych_processes SET seen = 0")
    await one.execute("BEGIN")
    await here.attend(one, ())  # its row is locked until it commits
    await asyncio.wait_for(there.attend(other, ()), 10)
    await one.execute("COMMIT")
    assert len(await presence.processes(one, "public")) == 2
    for session in (one, other):
        await session.close()


async def test_the_server_says_who_has_the_lock_and_what_is_set(postgres: str) -> None:
    async with bank(postgres):
        pass
    facts = await look_at_server(postgres)
    assert facts is not None
    assert (facts.holder, facts.oldest, facts.missing) == (None, None, ())
    assert (facts.fsync, facts.isolation, facts.is_superuser) == (False, "read committed", True)
    holder = await asyncpg.connect(postgres, server_settings={"application_name": "stuck"})
    await holder.execute(begin(address(postgres).lock))
    facts = await look_at_server(postgres)
    assert facts is not None
    assert facts.holder is not None
    assert facts.holder.application == "stuck"
    assert facts.oldest is not None
    assert facts.holder.seconds is not None
    await holder.close()


async def test_a_lock_of_another_schema_is_not_ours(postgres: str) -> None:
    await sql(postgres, "CREATE SCHEMA orders")
    holder = await asyncpg.connect(postgres)
    await holder.execute(begin(address(f"{postgres}?schema=orders").lock))
    here = await look_at_server(postgres)
    there = await look_at_server(f"{postgres}?schema=orders")
    assert here is not None
    assert there is not None
    assert here.holder is None
    assert there.holder is not None
    await holder.close()
