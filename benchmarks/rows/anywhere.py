"""The rows that need no database."""

from __future__ import annotations

from benchmarks.rows.row import OURS, Promise, Row, Variant

_ES = "comparators.peer_eventsourcing"

ANYWHERE: dict[str, Row] = {
    "get-dictionary": Row(
        title="get by key, a view in a dictionary",
        unit=" us",
        variants={
            "bare": Variant("a dict of the same rows", "comparators.by_key", "dictionary"),
            OURS: Variant(
                "views.get, 1000 in an answer",
                "ours.getting",
                "get",
                options=(("dictionary", True), ("alone", False)),
            ),
            "alone": Variant(
                "ask, an answer for each",
                "ours.getting",
                "get",
                options=(("dictionary", True), ("alone", True)),
            ),
        },
        order=("bare", OURS, "alone", "bare", OURS),
        promises=(),
        higher_is_better=False,
        note="An answer of its own pays the door and the freshness of what it gives.",
    ),
    "memory": Row(
        title="execute with the memory store, one caller",
        unit=" us",
        variants={
            "bare": Variant("a dict of async functions", "comparators.peer_mediators", "bare_dict"),
            OURS: Variant("execute, memory://", "ours.append", "memory"),
            "peer": Variant(
                "python-cqrs, handler does nothing", "comparators.peer_mediators", "python_cqrs"
            ),
            "eventsourcing": Variant(
                "eventsourcing in memory", _ES, "update", (1,), (("memory", True),)
            ),
        },
        order=("bare", "peer", OURS, "eventsourcing", OURS, "peer"),
        promises=(Promise("", 25, 40, "absolute"),),
        higher_is_better=False,
    ),
    "import": Row(
        title="import diptych",
        unit=" ms",
        variants={
            "bare": Variant("asyncio, msgspec, dataclasses alone", "ours.start", "parts_imported"),
            OURS: Variant("import diptych", "ours.start", "diptych_imported"),
            "all": Variant("from diptych import *", "ours.start", "everything_imported"),
        },
        order=("bare", OURS, "all", "bare", OURS, "all"),
        promises=(Promise("", 60, 60, "absolute"),),
        higher_is_better=False,
        note="Names are loaded when they are first used, so what a program pays before its first "
        "command lies between `import diptych` and `from diptych import *`.",
    ),
}
