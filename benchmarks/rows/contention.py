"""The rows in which all callers want the same: both stores."""

from __future__ import annotations

from benchmarks.rows.row import OURS, Row, Variant

_ES = "comparators.peer_eventsourcing"


def _row(where: str, *, postgres: bool) -> Row:
    return Row(
        title=f"64 callers on one stream, {where}",
        unit="/s",
        variants={
            OURS: Variant(
                "execute, one stream", "ours.contention", "callers_on_streams", (64, 1)
            ),
            "apart": Variant(
                "execute, a stream for each", "ours.contention", "callers_on_streams", (64, 64)
            ),
            "peer": Variant(
                "eventsourcing, 64 threads on one aggregate", _ES, "update", (64,),
                (("contended", True),),
            ),
        },
        order=("apart", OURS, "peer", "apart", OURS),
        promises=(),
        note="Commands that wait together for one stream are decided one after the other on what "
        "their predecessors leave, and go with one commit. The peer's threads load and save again "
        "after a conflict, and its aggregate grows by what they save.",
        postgres=postgres,
    )  # fmt: skip


CONTENTION: dict[str, Row] = {
    "contention": _row("SQLite FULL", postgres=False),
    "postgres-contention": _row("PostgreSQL", postgres=True),
}
