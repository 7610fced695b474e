"""The rows about resident memory: both stores. They are no rates, so one round is enough."""

from __future__ import annotations

from benchmarks.rows.row import OURS, Promise, Row, Variant

_MILLION = 1_000_000


def _idle(where: str, *, postgres: bool) -> Row:
    return Row(
        title=f"peak memory of an idle app, {where}",
        unit=" MiB",
        variants={
            "bare": Variant(
                "a process that has imported the driver and msgspec",
                "comparators.imports",
                "driver_in_memory",
            ),
            OURS: Variant("an app, after one command", "ours.memory", "idle"),
        },
        order=("bare", OURS),
        promises=(),
        higher_is_better=False,
        postgres=postgres,
        once=True,
    )


def _waiting(where: str, *, postgres: bool) -> Row:
    return Row(
        title=f"peak memory with 10,000 commands waiting, {where}",
        unit=" MiB",
        variants={
            "idle": Variant("an idle app", "ours.memory", "idle"),
            OURS: Variant("10,000 wait, 100 more are refused", "ours.memory", "waiting"),
        },
        order=("idle", OURS),
        promises=(),
        higher_is_better=False,
        note="The callers' own tasks and commands are in it: 10,000 of each.",
        postgres=postgres,
        once=True,
    )


def _catch_up(where: str, *, postgres: bool) -> Row:
    return Row(
        title=f"peak memory of a view that catches up with a million events, {where}",
        unit=" MiB",
        variants={
            "tenth": Variant("a hundred thousand", "ours.memory", "catch_up", (_MILLION // 10,)),
            OURS: Variant("a million", "ours.memory", "catch_up", (_MILLION,)),
        },
        order=("tenth", OURS),
        promises=(Promise("", 200, 200, "absolute"),),
        higher_is_better=False,
        note="The view has a row for each of 100,000 streams.",
        postgres=postgres,
        once=True,
    )


MEMORY: dict[str, Row] = {
    "memory-idle": _idle("SQLite", postgres=False),
    "memory-waiting": _waiting("SQLite", postgres=False),
    "memory-catch-up": _catch_up("SQLite", postgres=False),
    "postgres-memory-idle": _idle("PostgreSQL", postgres=True),
    "postgres-memory-waiting": _waiting("PostgreSQL", postgres=True),
    "postgres-memory-catch-up": _catch_up("PostgreSQL", postgres=True),
}
