"""Views that are kept in the commit of the events themselves, whichever store keeps them.

Under the lock: what was committed without them is caught up on, the touched rows of the whole
group are read at once, folded commit by commit in order, and written once. Folds are pure, so a
commit whose fold raises is taken out and the rest judged anew: nothing has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from diptych.adapters.judge import Judge
from diptych.errors import ProjectionFailed
from diptych.log.commit import Advance, Commit, Committed, Rows
from diptych.log.inline import Key, RowFold, Step
from diptych.log.port import Batch, StoredEvent
from diptych.message import Position
from diptych.read.port import Shape

Span: TypeAlias = tuple[int, Sequence[StoredEvent]]
"""Place of a commit in its group, and its events."""

Change: TypeAlias = tuple[Span, Mapping[Key, Any]]
"""What a span's events made of the rows they touch."""

PAGE = 5000
"""Events that are caught up on at a time."""


class HasShape(Protocol):
    """The table of a view, of whatever database."""

    @property
    def shape(self) -> Shape: ...


V = TypeVar("V", bound=HasShape)


class InlineView(Generic[V]):
    """A view that is kept in the commit of the events themselves."""

    def __init__(self, fold: RowFold, table: V) -> None:
        self.fold = fold
        self.table = table
        self.names = sorted(fold.names)

    @property
    def checkpoint(self) -> str:
        return self.table.shape.checkpoint


class Kept(Protocol):
    """One inline view, on a connection that holds the write lock."""

    @property
    def checkpoint(self) -> str: ...
    @property
    def fold(self) -> RowFold: ...
    def position(self) -> Position:
        """Where its checkpoint stands."""
        ...

    def missed(self, after: Position, limit: int) -> Batch:
        """Committed events that it takes, in order."""
        ...

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Any]:
        """The rows of these keys that exist."""
        ...

    def encode(self, upserts: Sequence[Any], deletes: Sequence[Key]) -> Rows:
        """What is to be written; raises on a row that cannot be kept."""
        ...


class _FoldFailed(Exception):
    """The commit at this place of the group cannot be taken."""

    def __init__(self, place: int, cause: ProjectionFailed) -> None:
        super().__init__()
        self.place = place
        self.cause = cause


def judge_group(
    commits: Sequence[Commit], judge_anew: Callable[[], Judge], views: Sequence[Kept]
) -> tuple[Judge, list[Committed | BaseException]]:
    """Judges a group in order, its inline views included.

    Args:
        judge_anew: A judge that has seen nothing of the group.

    Raises:
        ProjectionFailed: A view cannot take what was committed before.
    """
    failed: dict[int, ProjectionFailed] = {}
    while True:
        judge = judge_anew()
        before = judge.head
        answers: list[Committed | BaseException] = []
        spans: list[Span] = []
        for place, commit in enumerate(commits):
            if place in failed:
                answers.append(failed[place])
                continue
            count = len(judge.events)
            answers.append(judge.judge(commit))
            if views and len(judge.events) > count:
                spans.append((place, [stored for stored, _ in judge.events[count:]]))
        try:
            if spans:
                for view in views:
                    _fold(view, judge, before, spans)
        except _FoldFailed as failure:
            failed[failure.place] = failure.cause
            continue
        return judge, answers


def _fold(view: Kept, judge: Judge, head: Position, spans: Sequence[Span]) -> None:
    at = begun = view.position()
    rows: dict[Key, Any] = {}
    changes: list[Change] = []
    while at < head:
        batch = view.missed(at, PAGE)
        changes += _take(view, rows, [(-1, batch.events)])
        at = batch.through
    changes += _take(view, rows, spans)
    if changes:
        judge.rows.append(_encoded(view, changes))
    judge.advances.append(Advance(view.checkpoint, begun, judge.head))


def _take(view: Kept, rows: dict[Key, Any], spans: Sequence[Span]) -> list[Change]:
    """Folds the spans into the rows, those that are missing read first; returns what changed."""
    fold = view.fold
    steps: list[tuple[Span, list[Step]]] = []
    wanted: dict[Key, None] = {}
    for span in spans:
        try:
            found = [s for e in span[1] if e.name in fold.names for s in fold.steps(e)]
        except Exception as error:
            raise _failure(view, span, error) from error
        if found:
            steps.append((span, found))
            wanted.update(dict.fromkeys(step[0] for step in found if step[0] not in rows))
    if wanted:
        rows.update(view.read(list(wanted)))
    changes: list[Change] = []
    for span, found in steps:
        touched = {step[0]: rows.get(step[0]) for step in found}
        try:
            fold.fold(touched, found)
        except Exception as error:
            raise _failure(view, span, error) from error
        rows.update(touched)
        changes.append((span, touched))
    return changes


def _encoded(view: Kept, changes: Sequence[Change]) -> Rows:
    """All that changed, each row once; where a row cannot be kept, its commit is found."""
    rows: dict[Key, Any] = {}
    for _, touched in changes:
        rows.update(touched)
    try:
        upserts = [row for row in rows.values() if row is not None]
        return view.encode(upserts, [key for key, row in rows.items() if row is None])
    except Exception as error:
        if len(changes) == 1:
            raise _failure(view, changes[0][0], error) from error
        for change in changes:
            _encoded(view, [change])
        raise


def _failure(view: Kept, span: Span, error: Exception) -> Exception:
    """Which commit is to blame; none where it is an event committed before."""
    place, events = span
    taken = [event for event in events if event.name in view.fold.names] or list(events)
    failed = ProjectionFailed(f"view {view.checkpoint}", taken[0].position, taken[0].name, error)
    failed.__cause__ = error
    return failed if place < 0 else _FoldFailed(place, failed)
