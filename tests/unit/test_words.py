"""The words of status: a rule for each, held to made-up processes."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.log.inspection import Checkpoint, Process, Standing
from diptych.log.pauses import Pause
from diptych.log.presence import SILENT, ViewProgress
from diptych.ops.words import Life, State, life, position, word

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
HEAD = 10


def process(id: str = "p", **changes: Any) -> Process:
    fields: dict[str, Any] = {
        "host": "here",
        "space": "",
        "pid": 1,
        "started": NOW - 60 * SECOND,
        "seen": NOW - SECOND,
        "left": None,
        "views": (ViewProgress("seats@1", HEAD),),
    }
    return Process(id=id, **{**fields, **changes})


def standing(
    *processes: Process, checkpoint: int | None = HEAD, target: int = 0, **changes: Any
) -> Standing:
    fields: dict[str, Any] = {
        "context": "cinema",
        "epoch": "e",
        "now": NOW,
        "head": HEAD,
        "head_time": NOW,
        "checkpoints": {} if checkpoint is None else {"seats@1": Checkpoint(checkpoint, target)},
        "pauses": {},
        "oldest": {},
        "processes": processes,
    }
    return Standing(**{**fields, **changes})


def state(of: Standing, **sights: str) -> State:
    lives = {
        p.id: life(p, now=NOW, sight=lambda p: sights.get(p.id, "there")) for p in of.processes
    }
    return word("seats@1", of, lives).state


QUIET = NOW - int((SILENT + 1) * SECOND)


@pytest.mark.parametrize(
    ("changes", "sight", "expected"),
    [
        ({}, "there", "running"),
        ({}, "elsewhere", "running"),
        ({}, "gone", "vanished"),
        ({}, "frozen", "silent"),
        ({}, "another", "running"),  # its clock may have been set; its heart beats
        ({"seen": QUIET}, "another", "vanished"),
        ({"seen": QUIET}, "there", "silent"),
        ({"seen": QUIET}, "elsewhere", "silent"),
        ({"seen": QUIET}, "gone", "vanished"),
        ({"seen": NOW + 60 * SECOND}, "there", "running"),
        ({"seen": NOW + 60 * SECOND}, "elsewhere", "unknown"),
        ({"left": NOW - SECOND}, "gone", "left"),
        ({"left": NOW - SECOND}, "there", "left"),
    ],
)
def test_how_a_process_stands(changes: dict[str, Any], sight: str, expected: Life) -> None:
    assert life(process(**changes), now=NOW, sight=lambda _: sight) == expected


def test_a_view_that_nobody_ever_followed_is_stopped() -> None:
    assert state(standing()) == "stopped"
    assert word("seats@1", standing(), {}).since is None


def test_a_view_of_a_living_process_is_running() -> None:
    assert state(standing(process())) == "running"


def test_one_living_process_is_enough() -> None:
    assert state(standing(process("a"), process("b"), process("c")), a="gone", b="gone") == (
        "running"
    )


def test_a_view_is_rebuilding_until_it_is_where_the_head_was_when_it_was_new() -> None:
    assert state(standing(process(), checkpoint=3, target=5)) == "rebuilding"
    assert state(standing(process(), checkpoint=5, target=5)) == "running"  # it lags, no more
    assert state(standing(process(), checkpoint=3)) == "running"


def test_a_view_that_rests_elsewhere_is_rebuilding_as_its_process_tells() -> None:
    def told(position: int) -> Process:
        return process(views=(ViewProgress("seats@1", position, 5),))

    assert state(standing(told(3), checkpoint=None)) == "rebuilding"
    assert state(standing(told(5), checkpoint=None)) == "running"


PAUSE = Pause(view="seats@1", by="ann", reason="migration", since=NOW - 5, until=NOW + 5)


def test_a_view_is_paused_once_everybody_who_runs_it_stands_still() -> None:
    still = process("a", views=(ViewProgress("seats@1", 3, paused=True),))
    going = process("b", views=(ViewProgress("seats@1", 3),))
    pauses = {"seats@1": PAUSE}
    found = word("seats@1", standing(still, pauses=pauses), {"a": "running"})
    assert (found.state, found.since) == ("paused", NOW - 5)
    assert found.reason == "paused by ann: migration"
    assert state(standing(still, going, pauses=pauses)) == "running"
    assert state(standing(still)) == "running"  # its time is over; it goes on in a moment


def test_a_pause_of_a_view_that_nobody_runs_does_not_change_its_word() -> None:
    assert state(standing(pauses={"seats@1": PAUSE})) == "stopped"
    gone = standing(process(), pauses={"seats@1": PAUSE})
    assert state(gone, p="gone") == "orphaned"


def test_nobody_rebuilds_a_view_that_nobody_follows() -> None:
    gone = standing(process(left=NOW), checkpoint=3, target=5)
    assert state(gone) == "stopped"


def test_the_last_one_decides_between_stopped_and_orphaned() -> None:
    killed = process("killed", seen=NOW - 30 * SECOND)
    ended = process("ended", seen=NOW - 20 * SECOND, left=NOW - 20 * SECOND)
    assert state(standing(killed, ended), killed="gone") == "stopped"
    later = process("killed", seen=NOW - 10 * SECOND)
    assert state(standing(later, ended), killed="gone") == "orphaned"


def test_a_frozen_process_orphans_its_view_and_is_said_to_be_silent() -> None:
    of = standing(process())
    found = word("seats@1", of, {"p": "silent"})
    assert (found.state, found.since) == ("orphaned", NOW - SECOND)
    assert "says nothing any more" in found.reason


def test_a_process_heard_in_the_future_elsewhere_makes_it_unknown() -> None:
    assert state(standing(process(seen=NOW + 60 * SECOND)), p="elsewhere") == "unknown"


def test_a_checkpoint_that_rests_elsewhere_is_known_as_it_was_last_told() -> None:
    older = process("a", seen=NOW - 9, views=(ViewProgress("seats@1", 8),))
    newer = process("b", seen=NOW - 3, views=(ViewProgress("seats@1", 5),))
    assert position("seats@1", standing(older, newer, checkpoint=None)) == 5
    assert position("seats@1", standing(older, newer, checkpoint=7)) == 7
    assert position("seats@1", standing(checkpoint=None)) is None


lives = st.sampled_from(get_args(Life))
processes = st.lists(
    st.builds(
        lambda seen, left: process(seen=seen, left=seen if left else None),
        st.integers(NOW - 100 * SECOND, NOW),
        st.booleans(),
    ),
    max_size=4,
)


@given(processes, st.data(), st.integers(0, HEAD), st.integers(0, HEAD))
def test_a_view_runs_exactly_if_somebody_living_follows_it(
    found: list[Process], data: st.DataObject, target: int, checkpoint: int
) -> None:
    named = [
        Process(**{**{f: getattr(p, f) for f in p.__struct_fields__}, "id": str(n)})
        for n, p in enumerate(found)
    ]
    told = {
        p.id: "left" if p.left else data.draw(lives.filter(lambda one: one != "left"))
        for p in named
    }
    of = standing(*named, checkpoint=checkpoint, target=target)
    its = word("seats@1", of, told)
    assert (its.state in ("running", "rebuilding")) == ("running" in told.values())
    assert (its.state == "rebuilding") == ("running" in told.values() and checkpoint < target)
    if its.state == "orphaned":
        assert {"silent", "vanished"} & set(told.values())
    if its.state == "stopped":
        assert not named or "left" in told.values()
    assert its.reason
