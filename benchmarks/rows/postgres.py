"""The rows on PostgreSQL: one server for all variants, fsync and synchronous_commit on."""

from __future__ import annotations

from benchmarks.rows.row import OURS, SHORT, Promise, Row, Variant

_RAW = "comparators.raw_postgres"
_ES = "comparators.peer_eventsourcing"

POSTGRES: dict[str, Row] = {
    "postgres-warm": Row(
        title="decide and append, 64 callers, PostgreSQL, warm",
        unit="/s",
        variants={
            "limit": Variant(
                "hand-written command, 64 per transaction (reads)",
                _RAW,
                "command",
                (64,),
                share=SHORT,
            ),
            OURS: Variant("execute, 64 tasks, states cached", "ours.append", "warm", (64,)),
            "strict": Variant("hand-written warm loop, 64 per transaction", _RAW, "warm", (64,)),
            "peer": Variant("eventsourcing, 64 threads", _ES, "update", (64,)),
        },
        order=("limit", OURS, "strict", OURS, "peer", "limit"),
        promises=(
            Promise("limit", 0.6, 0.4, "limit"),
            Promise("peer", 20, 12, "peer"),
        ),
        note="The warm loop reads nothing and has no door, no command id, no outcome, no order "
        "with other processes and nobody to answer: it is what one connection could do, and no "
        "aim is set against it.",
        postgres=True,
    ),
    "postgres-cold": Row(
        title="decide and append, 64 callers, PostgreSQL, cold (10 events read)",
        unit="/s",
        variants={
            "limit": Variant(
                "hand-written command, 64 per transaction (reads)",
                _RAW,
                "command",
                (64,),
                share=SHORT,
            ),
            OURS: Variant("execute, 64 tasks, each stream read", "ours.append", "cold", (64,)),
            "peer": Variant("eventsourcing, 64 threads", _ES, "update", (64,)),
        },
        order=("limit", OURS, "peer", "limit"),
        promises=(),
        note="1000 streams and room for 100 states, as on SQLite; no aim is set.",
        postgres=True,
    ),
    "postgres-one-caller": Row(
        title="one caller, PostgreSQL",
        unit="/s",
        variants={
            "limit": Variant(
                "hand-written command, 1 per transaction (reads)",
                _RAW,
                "command",
                (1,),
                share=SHORT,
            ),
            OURS: Variant("execute, 1 task", "ours.append", "warm", (1,)),
            "strict": Variant("hand-written warm loop, 1 per transaction", _RAW, "warm", (1,)),
            "peer": Variant("eventsourcing, 1 thread", _ES, "update", (1,)),
        },
        order=("limit", OURS, "strict", OURS, "peer", "limit"),
        promises=(Promise("limit", 0.7, 0.5, "limit"),),
        postgres=True,
    ),
    "postgres-boundary": Row(
        title="conditional append across streams, 64 callers, PostgreSQL",
        unit="/s",
        variants={
            OURS: Variant("execute on a Boundary, 64 tasks", "ours.append", "boundary", (64,)),
            "peer": Variant(
                "eventsourcing's DCB, 64 threads",
                "comparators.peer_dcb",
                "conditional_append",
                (64,),
            ),
        },
        order=("peer", OURS, "peer"),
        promises=(),
        note="Each command has one tag that no other carries.",
        postgres=True,
    ),
    "postgres-catch-up": Row(
        title="catch-up of a view, PostgreSQL",
        unit=" events/s",
        variants={
            "limit": Variant("hand-written, 1000 per transaction", _RAW, "projection", (1000,)),
            OURS: Variant("a View over the same log", "ours.views", "catch_up"),
            "peer": Variant("eventsourcing's runner", _ES, "projection"),
        },
        order=("limit", OURS, "peer", OURS, "limit"),
        promises=(Promise("limit", 0.5, 0.35, "limit"), Promise("peer", 20, 12, "peer")),
        note="Ours is timed from before the app opens until the view stands at the head.",
        postgres=True,
    ),
    "postgres-freshness": Row(
        title="receipt -> ask(after=receipt) answers, p50, PostgreSQL",
        unit=" ms",
        variants={
            "limit": Variant(
                "hand-written: read, upsert, commit, select", _RAW, "receipt_to_answer"
            ),
            OURS: Variant("ask(after=receipt)", "ours.views", "receipt_to_answer"),
            "peer": Variant("eventsourcing: save and wait()", _ES, "save_and_wait"),
        },
        order=("limit", OURS, "peer", "limit"),
        promises=(Promise("", 6, 12, "absolute"),),
        higher_is_better=False,
        note="The peer's figure includes its save.",
        postgres=True,
    ),
    "get-postgres": Row(
        title="get by key, a view in PostgreSQL",
        unit=" us",
        variants={
            "bare": Variant("asyncpg on one connection", _RAW, "by_key"),
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
        postgres=True,
    ),
    "postgres-inline": Row(
        title="an inline view's cost: decide and append, 64 callers, PostgreSQL, warm",
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
        postgres=True,
    ),
    "postgres-handlers": Row(
        title="Handlers: read a row, change it, give an event, one caller, PostgreSQL",
        unit="/s",
        variants={
            "plain": Variant(
                "the same by hand with SQLAlchemy and asyncpg",
                "comparators.plain_sqlalchemy",
                "transaction",
            ),
            OURS: Variant("execute on Handlers", "ours.handling", "handler"),
        },
        order=("plain", OURS, "plain", OURS),
        promises=(),
        note="By hand: get, change, one INSERT for the event, COMMIT. Handlers do that, and the "
        "door, the outcome by command id, the versions of the stream, and the store's lock.",
        postgres=True,
    ),
}
