"""Every operation, declared once: the command line is made from this table, and so is what follows
it (HTTP, console, MCP)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from enum import Enum
from typing import Annotated, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Meta, Struct

from diptych.ops.check import Check
from diptych.ops.doctor import Diagnosis
from diptych.ops.findings import Exit
from diptych.ops.migrating import Migration
from diptych.ops.pausing import ViewPause
from diptych.ops.prove.proof import Proof
from diptych.ops.serve import Run
from diptych.ops.status import Status
from diptych.ops.tail import Tail
from diptych.ops.target import Target
from diptych.ops.views import ViewList


class Result(Protocol):
    """What an operation gives: data for programs, and how it ended."""

    @property
    def exit(self) -> Exit:
        """For the exit status."""
        ...


A = TypeVar("A", bound=Struct)
R = TypeVar("R", bound=Result)


class Risk(Enum):
    """What an operation does to the world."""

    READS = "reads"
    """Nothing: it can be repeated at will."""
    CHANGES = "changes"
    """Something stays changed; with dry_run it only says what."""
    RUNS = "runs"
    """It works until it is told to stop."""


class Role(Enum):
    """Who may do it; each may do what those before may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Verb(Struct, Generic[A, R], frozen=True, kw_only=True):
    """An operation.

    Attributes:
        name: One or two words: ``events tail``.
        summary: One line, without a full stop.
        details: Paragraphs.
        arguments: A Struct; its fields are the arguments, each with a description and a default.
        positional: Those of them that are given by place, in order.
        do: Does it; gives one result, or several as they come.
        examples: Command lines, without the program's name.
    """

    name: str
    summary: str
    details: str
    arguments: type[A]
    result: type[R]
    risk: Risk
    role: Role
    do: Callable[[Target, A], AsyncGenerator[R, None]]
    positional: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


AnyVerb: TypeAlias = Verb[Any, Any]

DryRun = Annotated[bool, Meta(description="Say what would be done, and do nothing.")]
Strict = Annotated[bool, Meta(description="Let warnings fail, too (exit status 4).")]


class Nothing(Struct, frozen=True, kw_only=True):
    """No arguments."""


class RunArguments(Struct, frozen=True, kw_only=True):
    role: Annotated[
        Literal["all"],
        Meta(
            description="What this process does. For now one process does all of it; api, commands, "
            "projections and relay come later, as processes of their own."
        ),
    ] = "all"
    dry_run: DryRun = False


class CheckArguments(Struct, frozen=True, kw_only=True):
    accept: Annotated[
        bool,
        Meta(description="Write the schema file: what the code says now is what is meant."),
    ] = False
    strict: Strict = False
    dry_run: DryRun = False


class MigrateArguments(Struct, frozen=True, kw_only=True):
    store: Annotated[
        str | None,
        Meta(
            description="Another URL of the store, such as that of a user who may create tables; "
            "by default the app's own. PGPASSWORD may hold its password."
        ),
    ] = None
    sql: Annotated[
        bool,
        Meta(description="Do nothing; print the SQL of it, for those who apply it themselves."),
    ] = False
    since: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="With --sql: do not look at the store; print what it takes from this "
            "format on. 0 is an empty database."
        ),
    ] = None
    dry_run: DryRun = False


class DoctorArguments(Struct, frozen=True, kw_only=True):
    strict: Strict = False


View = Annotated[
    str, Meta(description="The view, as views list names it; with or without its version.")
]


class PauseArguments(Struct, frozen=True, kw_only=True):
    view: View
    reason: Annotated[
        str, Meta(min_length=1, max_length=500, description="Why, for whoever looks at it.")
    ]
    minutes: Annotated[
        int, Meta(ge=1, le=1440, description="After how long it goes on by itself.")
    ] = 10
    by: Annotated[
        str | None, Meta(description="Who wants it; by default the user of this machine.")
    ] = None
    dry_run: DryRun = False


class ResumeArguments(Struct, frozen=True, kw_only=True):
    view: View
    dry_run: DryRun = False


class TailArguments(Struct, frozen=True, kw_only=True):
    follow: Annotated[bool, Meta(description="Go on as events come, until interrupted.")] = False
    after: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Begin after this position, not near the end."),
    ] = None
    stream: Annotated[str | None, Meta(description="Only this stream, such as order:42.")] = None
    type: Annotated[
        tuple[str, ...],
        Meta(description="Only events of this stored name; may be given again."),
    ] = ()
    tenant: Annotated[str, Meta(description="Whose stream, where tenants are used.")] = ""
    limit: Annotated[
        int, Meta(ge=1, le=10_000, description="How many events, before any that follow.")
    ] = 20


class ProveArguments(Struct, frozen=True, kw_only=True):
    dsn: Annotated[
        str,
        Meta(
            description="The database, as postgresql://user:password@host:5432/database. What it "
            "does not say is taken from PGHOST, PGPASSWORD, .pgpass, as libpq does."
        ),
    ]
    seconds: Annotated[float, Meta(ge=5, le=3600, description="For how long it is written.")] = 60.0
    writers: Annotated[int, Meta(ge=1, le=200, description="How many write at once.")] = 12
    processes: Annotated[int, Meta(ge=1, le=32, description="In how many processes.")] = 4
    readers: Annotated[
        int, Meta(ge=1, le=32, description="How many follow the log, each in its own process.")
    ] = 3
    dry_run: DryRun = False


async def _run(target: Target, asked: RunArguments) -> AsyncGenerator[Run, None]:
    from diptych.ops.serve import run

    async for told in run(target, role=asked.role, dry_run=asked.dry_run):
        yield told


async def _check(target: Target, asked: CheckArguments) -> AsyncGenerator[Check, None]:
    from diptych.ops.check import check

    yield await check(target, accept=asked.accept, strict=asked.strict, dry_run=asked.dry_run)


async def _migrate(target: Target, asked: MigrateArguments) -> AsyncGenerator[Migration, None]:
    from diptych.ops.migrating import migrate

    yield await migrate(
        target, store=asked.store, sql=asked.sql, since=asked.since, dry_run=asked.dry_run
    )


async def _status(target: Target, _: Nothing) -> AsyncGenerator[Status, None]:
    from diptych.ops.status import status

    yield await status(target)


async def _views(target: Target, _: Nothing) -> AsyncGenerator[ViewList, None]:
    from diptych.ops.views import list_views

    yield await list_views(target)


async def _pause(target: Target, asked: PauseArguments) -> AsyncGenerator[ViewPause, None]:
    from diptych.ops.pausing import pause

    yield await pause(
        target,
        view=asked.view,
        minutes=asked.minutes,
        reason=asked.reason,
        by=asked.by,
        dry_run=asked.dry_run,
    )


async def _resume(target: Target, asked: ResumeArguments) -> AsyncGenerator[ViewPause, None]:
    from diptych.ops.pausing import resume

    yield await resume(target, view=asked.view, dry_run=asked.dry_run)


async def _tail(target: Target, asked: TailArguments) -> AsyncGenerator[Tail, None]:
    from diptych.ops.tail import tail

    async for found in tail(
        target,
        after=asked.after,
        stream=asked.stream,
        types=asked.type,
        tenant=asked.tenant,
        limit=asked.limit,
        follow=asked.follow,
    ):
        yield found


async def _prove(_: Target, asked: ProveArguments) -> AsyncGenerator[Proof, None]:
    try:
        from diptych.ops.prove.proving import prove
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        from diptych.errors import StoreUnavailable

        raise StoreUnavailable(
            "PostgreSQL needs asyncpg. Install it: pip install 'diptych[postgres]'."
        ) from error

    async for told in prove(
        asked.dsn,
        seconds=asked.seconds,
        writers=asked.writers,
        processes=asked.processes,
        readers=asked.readers,
        dry_run=asked.dry_run,
    ):
        yield told


async def _doctor(target: Target, asked: DoctorArguments) -> AsyncGenerator[Diagnosis, None]:
    from diptych.ops.doctor import doctor

    yield await doctor(target, strict=asked.strict)


VERBS: tuple[AnyVerb, ...] = (
    Verb(
        name="run",
        summary="Run the app until it is told to stop",
        details="Opens the store, keeps the views going, and says in one line that it is ready. "
        "SIGINT (Ctrl-C) and SIGTERM end it properly: what was taken is finished first. A second "
        "signal ends it at once.",
        arguments=RunArguments,
        result=Run,
        risk=Risk.RUNS,
        role=Role.OPERATOR,
        do=_run,
        examples=("run", "run --app shop.main:app"),
    ),
    Verb(
        name="check",
        summary="Look for mistakes in the app's code, without starting it",
        details="Compares names and fields with diptych.schema.json, which --accept writes; looks "
        "for events, views and queries that nobody needs, and for commands named after data; tries "
        "the pure functions twice on made-up examples, to see whether they change what they are "
        "given or answer differently.",
        arguments=CheckArguments,
        result=Check,
        risk=Risk.CHANGES,
        role=Role.ADMIN,
        do=_check,
        examples=("check", "check --accept", "check --strict --json"),
    ),
    Verb(
        name="migrate",
        summary="Create or update the tables that the app needs",
        details="Creates the tables of the log, of views and of the app where they are missing, "
        "and brings those of an older version of diptych to what this one needs; nothing else is "
        "started. An app does the same when it is opened, if its user may create tables; where "
        "that is another user's work, run this before a deployment. Any number may run at once. A "
        "store of a newer version is refused.",
        arguments=MigrateArguments,
        result=Migration,
        risk=Risk.CHANGES,
        role=Role.ADMIN,
        do=_migrate,
        examples=(
            "migrate",
            "migrate --dry-run",
            "migrate --store postgresql://owner@db/shop",
            "migrate --sql --since 0",
        ),
    ),
    Verb(
        name="status",
        summary="Show how the log, the views and the processes stand",
        details="A view is running (a living process keeps it going), paused (it would, but "
        "somebody wants it to stand still), rebuilding (it is kept going, and has not yet "
        "reached the head that the log had when it was new), stopped (nobody keeps it going, "
        "properly), orphaned (whoever did has vanished, or says nothing any more) or unknown. "
        "Starts nothing and changes no file. Exit status 1 where a view is orphaned or cannot go "
        "on.",
        arguments=Nothing,
        result=Status,
        risk=Risk.READS,
        role=Role.VIEWER,
        do=_status,
        examples=("status", "status --watch"),
    ),
    Verb(
        name="views list",
        summary="List the views: what each keeps, and what it is made from",
        details="Starts nothing and changes no file.",
        arguments=Nothing,
        result=ViewList,
        risk=Risk.READS,
        role=Role.VIEWER,
        do=_views,
        examples=("views list",),
    ),
    Verb(
        name="views pause",
        summary="Let a view stand still for a while",
        details="The processes that keep it going hear of it within a second or two, and those "
        "that start later as they start. It goes on by itself when the time is over. Questions "
        "that need it to be fresher wait, and then are told that it is stale.",
        arguments=PauseArguments,
        positional=("view",),
        result=ViewPause,
        risk=Risk.CHANGES,
        role=Role.OPERATOR,
        do=_pause,
        examples=(
            "views pause free-seats --reason migration",
            "views pause free-seats --minutes 60 --reason migration --dry-run",
        ),
    ),
    Verb(
        name="views resume",
        summary="Let a paused view go on before its time",
        details="Where it is not paused, nothing is done, and nothing is wrong.",
        arguments=ResumeArguments,
        positional=("view",),
        result=ViewPause,
        risk=Risk.CHANGES,
        role=Role.OPERATOR,
        do=_resume,
        examples=("views resume free-seats",),
    ),
    Verb(
        name="events tail",
        summary="Show the last events, and those that follow",
        details="Events are shown as they are stored, not lifted by any upcaster. Starts nothing "
        "and changes no file.",
        arguments=TailArguments,
        result=Tail,
        risk=Risk.READS,
        role=Role.VIEWER,
        do=_tail,
        examples=(
            "events tail --follow",
            "events tail --stream order:42",
            "events tail --type order-placed --after 1000 --limit 50 --json",
        ),
    ),
    Verb(
        name="doctor",
        summary="Look whether machine, store and app are fit to work together",
        details="Python and SQLite and their known limits, the file system, room and rights, the "
        "write-ahead log, the clock, a second SQLite library in the process, and whether the app "
        "can be imported. On PostgreSQL the server's version and settings, rights, and "
        "transactions that stand in the way. Each finding says what to do. Starts nothing and "
        "changes nothing.",
        arguments=DoctorArguments,
        result=Diagnosis,
        risk=Risk.READS,
        role=Role.VIEWER,
        do=_doctor,
        examples=("doctor",),
    ),
    Verb(
        name="prove",
        summary="Prove on your own PostgreSQL that readers of the log miss nothing",
        details="Writes for a while from several processes, in every way in which events get into "
        "the log, while others follow it; meanwhile transactions are rolled back, one is held "
        "open, connections are ended, processes are stopped before their COMMIT, and a transaction "
        "stays open in another database. Then a checker that shares no code with the engine "
        "compares the tables with what each writer was told and what each reader saw. Works in a "
        "schema of its own, diptych_prove_…, and removes it at the end, also when it is "
        "interrupted; touches no other one. Needs no app. Exit status 1 if anything was lost, "
        "doubled or out of order, if a reader stood still for more than 1 s, or a writer for more "
        "than 2 s. Loads the server: try it where that does no harm.",
        arguments=ProveArguments,
        positional=("dsn",),
        result=Proof,
        risk=Risk.CHANGES,
        role=Role.ADMIN,
        do=_prove,
        examples=(
            "prove postgresql://shop@db.example/shop",
            "prove postgresql://shop@db.example/shop --seconds 10 --json",
            "prove postgresql://shop@db.example/shop --dry-run",
        ),
    ),
)


def verb(name: str) -> AnyVerb:
    """The operation of this name.

    Raises:
        KeyError: There is none.
    """
    return {one.name: one for one in VERBS}[name]
