"""One decider, kept as events or as a row: the same commands give the same, whoever looks in."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from diptych import App, Decider, Refused
from tests.integration.pots import Look, Pot, Put, Take, bank, file_url, pot_decider
from tests.integration.tables import Program, table_bank

KEYS = ("a", "b")
keys = st.sampled_from(KEYS)
amounts = st.integers(1, 4)
commands = st.one_of(
    st.builds(Put, keys, amounts), st.builds(Take, keys, amounts), st.builds(Look, keys)
)
MEDDLING = {
    "writes a note": "UPDATE pots SET note = coalesce(note, '') || 'x' WHERE id = :key",
    "puts the row there again": "REPLACE INTO pots SELECT * FROM pots WHERE id = :key",
    "changes it and changes it back": (
        "UPDATE pots SET amount = amount + 1 WHERE id = :key;"
        "UPDATE pots SET amount = amount - 1 WHERE id = :key"
    ),
}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("execute"), commands, st.booleans()),
        st.tuples(st.just("repeat"), st.integers(0, 30)),
        st.tuples(st.sampled_from(sorted(MEDDLING)), keys),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


class Counting:
    """Ids that are the same in every app."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> str:
        return f"drawn-{next(self._numbers)}"


async def outcome(app: App, command: Any, id: str | None) -> Any:
    """What can be told of it, whatever keeps the state."""
    try:
        receipt = await app.execute(command, id=id)
    except Refused as refused:
        return refused.code, refused.message, refused.values, refused.position
    return receipt.position, receipt.stream, receipt.version, receipt.events


async def agree(steps: list[Any], folder: Path) -> None:
    url = file_url(folder / "shared.db")
    apps: dict[str, App] = {
        "events": bank(file_url(folder / "events.db"), ids=Counting()),
        "row": table_bank(url, ids=Counting()),
        "owned row": table_bank(file_url(folder / "owned.db"), owned=True, ids=Counting()),
    }
    stack = AsyncExitStack()
    for app in apps.values():
        await stack.enter_async_context(app)
    program = Program(url)
    sent: list[tuple[Any, str]] = []
    for number, step in enumerate(steps):
        match step:
            case ("execute", command, with_id):
                id = f"c{number}" if with_id else None
                if id is not None:
                    sent.append((command, id))
                found = [await outcome(app, command, id) for app in apps.values()]
                assert found == [found[0]] * 3, step
            case ("repeat", place) if sent:
                command, id = sent[place % len(sent)]
                found = [await outcome(app, command, id) for app in apps.values()]
                assert found == [found[0]] * 3, step
            case ("restart",):
                await stack.aclose()
                for app in apps.values():
                    await stack.enter_async_context(app)
            case (kind, key) if kind in MEDDLING:
                for statement in MEDDLING[kind].split(";"):
                    program.connection.execute(statement, {"key": key})
            case _:
                pass
    logs = [[one async for one in app.log.read()] for app in apps.values()]
    told = [[(one.stream, one.version, one.event) for one in log] for log in logs]
    assert told == [told[0]] * 3
    for key in KEYS:
        mine = [one.event for one in logs[0] if one.stream == f"pot:{key}"]
        states = folded(pot_decider, mine), row_of(program, key)
        assert states[0] == states[1]
    program.close()
    await stack.aclose()


def folded(decider: Decider[Pot], events: list[Any]) -> Pot:
    return decider.fold(events)


def row_of(program: Program, key: str) -> Pot:
    found = program("SELECT amount, events, mark FROM pots WHERE id = ?", (key,))
    return Pot(*found[0]) if found else Pot()


@given(steps=steps)
@settings(max_examples=60, deadline=None)
def test_the_same_commands_give_the_same_events_refusals_and_states(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(asyncio.wait_for(agree(steps, Path(folder)), 60))
