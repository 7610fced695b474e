"""What a proof says: the figures, and what must not be."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from diptych.ops.findings import Exit

READER_STALL = 1.0
WRITER_STALL = 2.0
"""Seconds after which a reader, or a writer, stands still."""

STARVED = 0.3
"""For which share of the time a writing process may have waited for a CPU; above that, stalls tell of
this machine, not of the server, and are not judged."""

SHOWN = 20
"""Of all violations, those that are told one by one."""


class Written(Struct, frozen=True, kw_only=True):
    """What became of the calls on one path.

    Attributes:
        failed: Where it is certain that nothing happened.
        unknown: Where nobody can say (a COMMIT whose connection was lost).
    """

    path: str
    accepted: int
    refused: int
    failed: int
    unknown: int


class Broken(Struct, frozen=True, kw_only=True):
    """Something that must not be."""

    kind: str
    about: str


class Proof(Struct, frozen=True, kw_only=True):
    """How far a proof has got, and at last what came out.

    Attributes:
        state: ``planned`` is the answer to --dry-run.
        server: Without user and password.
        schema: Its own; removed again by the time that it is proved or refuted.
        elapsed: Seconds in which it was written.
        events: In the log.
        lost: Answered but not there, or there but not seen by a reader.
        doubled: There, or seen, more than once.
        out_of_order: Against the order of their stream, of positions, or of real time.
        broken: How many of any kind; the first of them are told as `violations`.
        reader_stall: Seconds from when a plain query could see an event until a reader had it, at
            most.
        writer_stall: Seconds that a writer waited for an answer, at most.
        machine_stall: Seconds that this machine let a program wait that wanted to do nothing, at
            most: stalls are judged after that is taken off.
        cpu_wait: For which share of the time the worst-off writing process waited for a CPU.
        slowest: Which event and which call those were.
        failures: What writers were told where a call failed, and how often.
        disturbances: What was done to it meanwhile.
        omitted: What could not be done here, and why.
    """

    state: Literal["planned", "running", "proved", "refuted"]
    server: str
    version: str
    schema: str
    seconds: float
    writers: int
    processes: int
    readers: int
    elapsed: float = 0.0
    events: int = 0
    written: tuple[Written, ...] = ()
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    broken: int = 0
    violations: tuple[Broken, ...] = ()
    reader_stall: float = 0.0
    writer_stall: float = 0.0
    machine_stall: float = 0.0
    cpu_wait: float = 0.0
    slowest: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        """Anything that must not be."""
        return Exit.FINDINGS if self.state == "refuted" else Exit.OK
