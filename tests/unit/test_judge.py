"""The judge: what is committed already, and what the group before it has added, count alike."""

from __future__ import annotations

from diptych.adapters.judge import Judge, matches
from diptych.log.commit import (
    Advance,
    Append,
    Appended,
    Cause,
    Commit,
    Committed,
    Condition,
    Conflict,
    NewEvent,
    Outcome,
    Settled,
    StateRow,
    StateTable,
    Tagged,
)
from diptych.message import Position


class Ledger:
    """A store with one stream at version 3, one tagged event, one outcome, one checkpoint, a row."""

    def settled(self, tenant: str, id: str) -> Settled | None:
        return Settled("known", b"f", 2, "s", 2, 1, None) if (tenant, id) == ("", "known") else None

    def version(self, tenant: str, stream: str) -> int:
        return 3 if (tenant, stream) == ("", "s") else 0

    def causation(self, tenant: str, stream: str, version: int) -> str | None:
        return f"cause-{version}" if self.version(tenant, stream) >= version > 0 else None

    def causes(self, tenant: str, query: Tagged, after: Position) -> set[str]:
        tagged = NewEvent("noted", 1, "{}", ("x",))
        return {"cause-3"} if not tenant and after < 7 and matches(query, tagged) else set()

    def checkpoint(self, name: str) -> Position:
        return 5 if name == "view@1" else 0

    def stands(self, row: StateRow) -> bool:
        return row.stood == ("k", 1)


X = Tagged(("noted",), (("x",),))


def event(*tags: str, name: str = "noted") -> NewEvent:
    return NewEvent(name, 1, "{}", tags)


def commit(
    id: str,
    *appends: Append,
    outcome: bool = False,
    condition: Condition | None = None,
    advance: tuple[Advance, ...] = (),
    drawn: bool = False,
) -> Commit:
    return Commit(
        cause=Cause(id, id, "p", "", 1),
        appends=appends,
        condition=condition,
        outcome=Outcome(b"f", drawn) if outcome else None,
        advance=advance,
    )


def judged(*commits: Commit) -> tuple[Judge, list[Committed]]:
    judge = Judge(Ledger(), 7)
    return judge, [judge.judge(one) for one in commits]


def test_positions_go_on_from_the_head_and_versions_from_the_stream() -> None:
    judge, answers = judged(
        commit("a", Append("s", 3, (event(), event()))), commit("b", Append("new", 0, (event(),)))
    )
    assert answers == [Appended(9, (5,)), Appended(10, (1,))]
    assert [(e.position, e.stream, e.version) for e, _ in judge.events] == [
        (8, "s", 4),
        (9, "s", 5),
        (10, "new", 1),
    ]
    assert judge.head == 10


def test_the_group_before_counts_as_committed() -> None:
    _, answers = judged(
        commit("a", Append("s", 3, (event(),))),
        commit("b", Append("s", 3, (event(),))),
        commit("c", Append("s", 4, (event(),), upon="a")),
        commit("d", Append("s", 5, (event(),), upon="b")),
        commit("e", Append("s", 5, (event(),), upon="c")),
    )
    assert [type(answer) for answer in answers] == [
        Appended,
        Conflict,
        Appended,
        Conflict,
        Appended,
    ]


def test_upon_looks_into_the_ledger_where_the_group_has_nothing() -> None:
    _, (stranger, right) = judged(
        commit("a", Append("s", 3, (), upon="stranger")),
        commit("b", Append("s", 3, (), upon="cause-3")),
    )
    assert isinstance(stranger, Conflict)
    assert isinstance(right, Appended)


def test_a_condition_counts_ledger_and_group_together() -> None:
    both = frozenset({"cause-3", "a"})
    _, answers = judged(
        commit("a", Append("t", None, (event("x"),))),
        commit("b", condition=Condition(X, 0, both)),
        commit("c", condition=Condition(X, 0, frozenset({"cause-3"}))),
        commit("d", condition=Condition(X, 7, frozenset({"a"}))),
        commit("e", condition=Condition(X, 8)),
        commit("f", condition=Condition(X, 7)),
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [Appended, Appended, Conflict, Appended, Appended, Conflict]


def test_outcomes_are_found_in_the_ledger_and_in_the_group() -> None:
    judge, answers = judged(
        commit("known", Append("s", 99), outcome=True),
        commit("a", Append("s", 3, (event(),)), outcome=True),
        commit("a", Append("s", 99), outcome=True),
    )
    assert [type(answer) for answer in answers] == [Settled, Appended, Settled]
    assert answers[2] == Settled("a", b"f", 8, "s", 4, 1, None)
    assert [settled.id for _, settled in judge.outcomes] == ["a"]


def test_a_drawn_id_is_not_looked_up() -> None:
    _, (answer,) = judged(commit("known", Append("s", 3, (event(),)), outcome=True, drawn=True))
    assert isinstance(answer, Appended)


def test_a_conflict_leaves_nothing_behind() -> None:
    judge, answers = judged(
        commit(
            "a",
            Append("new", 0, (event(),)),
            Append("s", 9, (event(),)),
            outcome=True,
            advance=(Advance("view@1", 5, 6),),
        ),
    )
    assert answers == [Conflict("s", 9, 3)]
    assert judge.empty
    assert judge.head == 7


def test_checkpoints_move_from_the_ledger_s_place_and_then_from_the_group_s() -> None:
    _, answers = judged(
        commit("a", advance=(Advance("view@1", 5, 6),)),
        commit("b", advance=(Advance("view@1", 5, 7),)),
        commit("c", advance=(Advance("view@1", 6, 8), Advance("view@2", 0, 1))),
    )
    assert answers == [Appended(7), Conflict("view@1", 5, 6), Appended(7)]


def test_matching_wants_a_name_and_all_tags_of_one_item() -> None:
    query = Tagged(("noted", "other"), (("x", "y"), ("z",)))
    assert matches(query, event("y", "x", "w"))
    assert matches(query, event("z", name="other"))
    assert not matches(query, event("x"))
    assert not matches(query, event("z", name="third"))
    assert not matches(query, event())


def kept(stood: int, becomes: int) -> Append:
    table = StateTable("t", ("id", "n"), "id")
    row = StateRow(table=table, key="k", stood=("k", stood), becomes=("k", becomes), puts=(1,))
    return Append("s", None, (event(),), row=row)


def test_a_row_that_is_not_as_it_was_decided_upon_is_a_conflict_and_writes_nothing() -> None:
    judge, answers = judged(
        commit("a", kept(2, 3)), commit("b", kept(1, 2)), commit("c", kept(2, 3))
    )
    assert answers == [Conflict("s", 0, None), Appended(8, (4,)), Appended(9, (5,))]
    (change,) = judge.states.changes()
    assert change.updates == {(1,): [("k", 3)]}
    assert [stored.causation for stored, _ in judge.events] == ["b", "c"]
