"""The rows on SQLite: one file, WAL, synchronous=FULL."""

from __future__ import annotations

from benchmarks.rows.row import OURS, SHORT, Promise, Row, Variant

_RAW = "comparators.raw_sqlite"
_ES = "comparators.peer_eventsourcing"

SQLITE: dict[str, Row] = {
    "warm": Row(
        title="decide and append, 64 callers, SQLite FULL, warm",
        unit="/s",
        variants={
            "limit": Variant(
                "hand-written command, 64 per commit (reads)", _RAW, "command", (64,), share=SHORT
            ),
            OURS: Variant("execute, 64 tasks, states cached", "ours.append", "warm", (64,)),
            "strict": Variant("hand-written warm loop, 64 per commit", _RAW, "warm", (64,)),
            "peer": Variant("eventsourcing, 64 threads", _ES, "update", (64,)),
        },
        order=("limit", OURS, "strict", OURS, "peer", "limit"),
        promises=(
            Promise("limit", 0.7, 0.5, "limit"),
            Promise("peer", 20, 12, "peer"),
        ),
        note="The warm loop reads nothing and has no door, no command id, no outcome and nobody to "
        "answer: it is what SQLite could do, and no aim is set against it.",
    ),
    "cold": Row(
        title="decide and append, 64 callers, SQLite FULL, cold (10 events read)",
        unit="/s",
        variants={
            "limit": Variant(
                "hand-written command, 64 per commit (reads)", _RAW, "command", (64,), share=SHORT
            ),
            OURS: Variant("execute, 64 tasks, each stream read", "ours.append", "cold", (64,)),
            "peer": Variant("eventsourcing, 64 threads", _ES, "update", (64,)),
        },
        order=("limit", OURS, "peer", "limit"),
        promises=(Promise("limit", 0.5, 0.35, "limit"), Promise("peer", 12, 8, "peer")),
        note="1000 streams and room for 100 states, so that every command reads its stream; the run "
        "fails if fewer than 10 events are read per command.",
    ),
    "one-caller": Row(
        title="one caller, SQLite FULL",
        unit="/s",
        variants={
            "limit": Variant(
                "hand-written command, 1 per commit (reads)", _RAW, "command", (1,), share=SHORT
            ),
            OURS: Variant("execute, 1 task", "ours.append", "warm", (1,)),
            "strict": Variant("hand-written warm loop, 1 per commit", _RAW, "warm", (1,)),
            "peer": Variant("eventsourcing, 1 thread", _ES, "update", (1,)),
        },
        order=("limit", OURS, "strict", OURS, "peer", "limit"),
        promises=(Promise("limit", 0.7, 0.5, "limit"),),
    ),
    "boundary": Row(
        title="conditional append across streams, 64 callers, SQLite FULL",
        unit="/s",
        variants={
            OURS: Variant("execute on a Boundary, 64 tasks", "ours.append", "boundary", (64,)),
            "peer": Variant(
                "umadb, 64 threads over gRPC",
                "comparators.peer_umadb",
                "conditional_append",
                (64,),
            ),
        },
        order=("peer", OURS, "peer"),
        promises=(Promise("peer", 3, 1.5, "peer"),),
        note="Each command has one tag that no other carries; umadb's durability is its own.",
    ),
    "catch-up": Row(
        title="catch-up of a view, SQLite FULL",
        unit=" events/s",
        variants={
            "limit": Variant("hand-written, 1000 per transaction", _RAW, "projection", (1000,)),
            OURS: Variant("a View over the same log", "ours.views", "catch_up"),
            "peer": Variant("eventsourcing's runner (log in memory)", _ES, "projection"),
        },
        order=("limit", OURS, "peer", OURS, "limit"),
        promises=(Promise("limit", 0.5, 0.35, "limit"), Promise("peer", 20, 12, "peer")),
        note="Ours is timed from before the app opens until the view stands at the head.",
    ),
    "freshness": Row(
        title="receipt -> ask(after=receipt) answers, p50, SQLite FULL",
        unit=" ms",
        variants={
            "limit": Variant(
                "hand-written: read, upsert, commit, select", _RAW, "receipt_to_answer"
            ),
            OURS: Variant("ask(after=receipt)", "ours.views", "receipt_to_answer"),
            "peer": Variant("eventsourcing: save and wait()", _ES, "save_and_wait"),
        },
        order=("limit", OURS, "peer", "limit"),
        promises=(Promise("", 3, 6, "absolute"),),
        higher_is_better=False,
        note="The peer's figure includes its save.",
    ),
    "get-sqlite": Row(
        title="get by key, a view in SQLite",
        unit=" us",
        variants={
            "bare": Variant("sqlite3 in the same thread", "comparators.by_key", "driver"),
            OURS: Variant(
                "views.get, 1000 in an answer",
                "ours.getting",
                "get",
                options=(("dictionary", False), ("alone", False)),
            ),
            "alone": Variant(
                "ask, an answer for each",
                "ours.getting",
                "get",
                options=(("dictionary", False), ("alone", True)),
            ),
        },
        order=("bare", OURS, "alone", "bare", OURS),
        promises=(),
        higher_is_better=False,
        note="Ours reads in a thread of its own, so that the loop never waits for the disk: each "
        "row is a trip there and back.",
    ),
    "inline": Row(
        title="an inline view's cost: decide and append, 64 callers, SQLite FULL, warm",
        unit="/s",
        variants={
            "without": Variant("execute without a view", "ours.append", "warm", (64,)),
            OURS: Variant(
                "execute with an inline view", "ours.append", "warm", (64,), (("inline", True),)
            ),
        },
        order=("without", OURS, "without", OURS),
        promises=(),
        note="Each command reads, folds and writes one row of the view in its own commit.",
    ),
    "handlers": Row(
        title="Handlers: read a row, change it, give an event, one caller, SQLite FULL",
        unit="/s",
        variants={
            "plain": Variant(
                "the same by hand with SQLAlchemy and aiosqlite",
                "comparators.plain_sqlalchemy",
                "transaction",
            ),
            "blocking": Variant(
                "the same by hand with a plain Session, blocking",
                "comparators.plain_sqlalchemy",
                "blocking",
            ),
            OURS: Variant("execute on Handlers", "ours.handling", "handler"),
        },
        order=("plain", OURS, "blocking", OURS, "plain"),
        promises=(Promise("plain", 0.7, 0.7, "limit"),),
        note="By hand: get, change, one INSERT for the event, COMMIT. Handlers do that, and the "
        "door, the outcome by command id, the versions of the stream.",
    ),
}
