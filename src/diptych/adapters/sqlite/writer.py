"""The one writer of a process: judges a group of commits under the write lock, and writes it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from diptych.adapters.grouping import Answers, carry_out
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import (
    WAL_PAGES,
    Synchronous,
    connect,
    fault,
    is_fault,
    patiently,
    prepare_to_write,
    refuse_foreign,
)
from diptych.adapters.sqlite.gate import Gate
from diptych.adapters.sqlite.group import Group, InlineView, write_group
from diptych.adapters.sqlite.ledger import settled_of
from diptych.adapters.sqlite.reading import LONGEST
from diptych.errors import BadResult, CommitUnknown, Fault
from diptych.log.commit import Appended, Commit, Committed, Settled
from diptych.message import Position

if TYPE_CHECKING:
    from diptych.adapters.sqlite.statements import Statements

T = TypeVar("T")

UNKNOWN = -1
"""No data version that SQLite gives."""

CACHE_KIB = 32_000
"""Of pages that the writer keeps: it changes leaves of the index all over the file."""

PROMPT = 0.001
"""Seconds that a COMMIT may take to count as prompt: what a trip to a thread and back costs while
the loop is busy."""

PROMPT_IN_A_ROW = 64
"""Prompt COMMITs after which one may be done without a thread; a slow one begins the count anew."""

ON_THE_SPOT = 256
"""Commits without a thread before one goes through it: there old outcomes are swept and the WAL is
copied into the file, which take milliseconds."""

VERSIONS = 200_000
"""Streams whose versions the writer remembers."""

SWEEP = 512
"""Commits between two sweeps of old outcomes, and how many outcomes one sweep looks at."""


class Writer:
    """Owns the connection that writes.

    Everything here runs in the writer's thread, except for `write_on_the_spot`, which may run in
    another one while that has nothing to do.

    Args:
        retention: For how long outcomes are kept at least.
        own: Tables that the app has named as its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention: timedelta,
        synchronous: Synchronous = "FULL",
        own: Collection[str] = (),
    ) -> None:
        self._path = path
        self._retention = retention // timedelta(microseconds=1)
        self.connection = connect(path, read_only=False)
        try:
            refuse_foreign(self.connection, path, own)
            prepare_to_write(self.connection, path, synchronous)
        except sqlite3.Error as error:
            self.connection.close()
            raise fault(error, path) from error
        except BaseException:
            self.connection.close()
            raise
        self.gate = Gate(path)
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        self.connection.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
        self.head: Position = 0
        """As of the last group."""
        self._data_version = UNKNOWN
        self._versions: dict[tuple[str, str], int] = {}
        self.positions: Mapping[str, Position] = {}
        """Of views, as far as they are known for certain. Never changed in place: the loop's
        thread looks at it."""
        self.inline: Sequence[InlineView] = ()
        self._statements: Statements | None = None
        self._since_sweep = 0
        self._sweep_from = ("", "")
        self._prompt = 0
        """COMMITs in a row that were prompt."""
        self._on_the_spot = 0
        """Commits in a row without a thread."""
        self._begun = False

    def close(self) -> None:
        """Lets go of the file."""
        if self._statements is not None:
            self._statements.close()
        self.connection.close()
        self.gate.close()

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a transaction of its own (schema, names).

        Raises:
            StoreFault: SQLite could not; nothing was written.
        """
        try:
            self._begin()
            try:
                result = work(self.connection)
                self.connection.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise
        except sqlite3.Error as error:
            raise fault(error, self._path) from error
        return result

    def write(self, commits: Sequence[Commit]) -> Answers:
        """Writes a group with one fsync; each is answered on its own."""
        self._tidy()
        answers = carry_out(commits, self._write)
        self._sweep(len(commits))
        return answers

    @property
    def is_untidy(self) -> bool:
        """Whether COMMITs leave the WAL and old outcomes as they are."""
        return self._on_the_spot > 0

    def _tidy(self) -> None:
        """In the thread, the WAL is copied into the file when it is due."""
        if self._on_the_spot:
            with suppress(sqlite3.Error):  # the next one tries again
                self.connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
                self._on_the_spot = 0

    @property
    def is_prompt(self) -> bool:
        """Whether the next commit can be expected to take less time than a trip to a thread.

        The disk was prompt lately, and nothing is to be tidied.
        """
        return self._prompt >= PROMPT_IN_A_ROW and self._on_the_spot < ON_THE_SPOT

    def write_on_the_spot(self, commit: Commit) -> Committed | BaseException | None:
        """Writes one commit in the caller's thread, who must own the writer meanwhile.

        Returns:
            None where somebody else holds the write lock: nothing was done.
        """
        if not self.lock_on_the_spot():
            return None
        return carry_out([commit], self._write)[0]

    def lock_on_the_spot(self) -> bool:
        """Begins a transaction in the caller's thread, who must own the writer until its end.

        Returns:
            False where somebody else holds the write lock, or waits for it: nothing was done.
        """
        if not self.gate.try_enter():
            return False
        try:
            if not self._on_the_spot:
                self.connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._on_the_spot += 1
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:  # the thread has the patience, or finds the words
            return False
        finally:
            self.gate.leave()
        self._since_sweep += 1
        self._begun = True
        return True

    def _has_begun(self) -> bool:
        """Whether the transaction has begun on the spot; told once."""
        begun, self._begun = self._begun, False
        return begun

    def _write(self, commits: Sequence[Commit]) -> Answers:
        try:
            if not self._has_begun():
                self._begin()
            try:
                self._look_around()
                group = self._put(commits)
                if group.empty:
                    self._rollback()
                    return group.answers
            except BaseException:
                self._rollback()
                raise
        except sqlite3.Error as error:
            found = fault(error, self._path)
            raise (found if is_fault(error) else error) from error
        self._commit()
        self._remember(group)
        return group.answers

    def begin_unit(self, tenant: str, id: str | None) -> Settled | None:
        """Begins a transaction for somebody else's statements, unless it has begun on the spot.

        Args:
            id: Of a command; None where nobody can have sent it before.

        Returns:
            The command's stored outcome.
        """
        try:
            if not self._has_begun():
                self._tidy()
                self._begin()
            try:
                self._look_around()
                self.connection.execute("SAVEPOINT diptych")
                if id is None:
                    return None
                row = self.connection.execute(schema.SELECT_OUTCOME, (tenant, id)).fetchone()
                return None if row is None else settled_of(row)
            except BaseException:
                self._rollback()
                raise
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def undo_unit(self) -> None:
        """Takes back all statements since `begin_unit`; the lock stays."""
        refuse_ended(self.connection)
        try:
            self.connection.execute("ROLLBACK TO diptych")
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def commit_unit(self, commit: Commit) -> Committed:
        """Judges and writes one commit, and commits it with the statements before it.

        Raises:
            BaseException: What poisons it; nothing is left of it or of the statements.
        """
        refuse_ended(self.connection)
        try:
            try:
                group = self._put([commit])
                (answer,) = group.answers
                if isinstance(answer, BaseException):
                    raise answer
                if not isinstance(answer, Appended):
                    self._rollback()
                    return answer
            except BaseException:
                self._rollback()
                raise
        except sqlite3.Error as error:
            raise fault(error, self._path) from error
        self._commit()
        self._remember(group)
        if not self.is_untidy:
            self._sweep(1)
        return answer

    def end_unit(self) -> None:
        """Whatever was not committed has not happened."""
        self.gate.given_up = False
        self._rollback_quietly()

    def stand_in_gate(self) -> None:
        """Returns when nobody has the write lock, and nobody of the engine's would take it before
        the gate is left; it must be left in any case.

        Raises:
            StoreUnavailable: Somebody had it for too long.
        """
        try:
            self.gate.enter(lambda: self.connection.execute("BEGIN IMMEDIATE"))
            self._rollback()
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def leave_gate(self) -> None:
        """Whoever stood in it has the lock, or does not want it any more."""
        self.gate.given_up = False
        self._rollback_quietly()
        self.gate.leave()

    def _look_around(self) -> None:
        """Under the lock: forgets what others may have changed since."""
        if self._others_wrote():
            self._versions.clear()
            self.positions = {}
            self.head = self.connection.execute(schema.SELECT_HEAD).fetchone()[0]

    def _put(self, commits: Sequence[Commit]) -> Group:
        group = write_group(
            self.connection,
            commits,
            head=self.head,
            versions=self._versions,
            inline=self.inline,
            positions=self.positions,
        )
        if group.statements:
            if self._statements is None:
                from diptych.adapters.sqlite.statements import Statements

                self._statements = Statements(self.connection)
            self._statements.execute(group.statements)
        return group

    def _remember(self, group: Group) -> None:
        """What is committed now is known for certain."""
        self.head = group.head
        self._versions.update(group.versions)
        if group.checkpoints:
            self.positions = {**self.positions, **group.checkpoints}
        if len(self._versions) > VERSIONS:
            self._versions.clear()

    def _others_wrote(self) -> bool:
        """Whether another connection has committed since this one looked last.

        Asked under the write lock, so that a no stays true until the commit: what this writer
        remembers of the file is what is in it.
        """
        now: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        before, self._data_version = self._data_version, now
        return now != before

    def _begin(self) -> None:
        """Takes the write lock, in its turn among the processes."""
        self._rollback()  # nothing, unless it failed before
        try:
            self.gate.enter(lambda: self.connection.execute("BEGIN IMMEDIATE"))
        finally:
            self.gate.leave()

    def _rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _commit(self) -> None:
        """Commits, or finds out for certain that it did not happen.

        When the fsync of a commit fails, its frames may lie in the WAL, complete, where a later
        recovery would find them. Only another commit in their place makes sure that they are gone
        (one that changes something: SQLite leaves a page out that stays the same).

        Raises:
            BadResult: It breaks a constraint that is checked at the end.
            StoreFault: It did not happen.
            CommitUnknown: Neither could the other commit be written.
        """
        connection = self.connection
        begun = time.perf_counter()
        try:
            patiently(lambda: connection.execute("COMMIT"))
            prompt = time.perf_counter() - begun < PROMPT
            self._prompt = self._prompt + 1 if prompt else 0
        except sqlite3.Error as error:
            self._prompt = 0
            self._data_version = UNKNOWN
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_CONSTRAINT:
                # A deferred one: the transaction is still open, and no fault of the store.
                self._rollback()
                raise BadResult("what was to be committed", f"failed: {error}.") from error
            if code == sqlite3.SQLITE_FULL:
                # The commit frame is the last, so it cannot lie there complete; and a fence would
                # find no room either.
                self._rollback_quietly()
                raise fault(error, self._path) from error
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_CONSTRAINT:
                self._rollback_quietly()
                raise  # a deferred foreign key: one of the commits is to blame
            try:
                self._rollback()
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE diptych_store SET fences = fences + 1")
                connection.execute("COMMIT")
            except sqlite3.Error as again:
                self._rollback_quietly()
                raise CommitUnknown(
                    f"{self._path}: {error}, then {again}. Whether the command took effect is not "
                    "known. Look at the disk, then send it again with the same id: it happens once."
                ) from error
            raise fault(error, self._path) from error

    def _rollback_quietly(self) -> None:
        with suppress(sqlite3.Error):  # it is beyond that; the next group will say so
            self._rollback()

    def _sweep(self, commits: int) -> None:
        """Now and then, forgets some outcomes that are older than the retention."""
        self._since_sweep += commits
        if self._since_sweep < SWEEP:
            return
        self._since_sweep = 0
        with suppress(Fault, sqlite3.Error):  # nothing depends on it; the next one tries again
            self.transact(self._sweep_some)

    def _sweep_some(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT tenant, id, time FROM diptych_outcomes WHERE (tenant, id) > (?, ?) "
            "ORDER BY tenant, id LIMIT ?",
            (*self._sweep_from, SWEEP),
        ).fetchall()
        if not rows:
            self._sweep_from = ("", "")
            return
        self._sweep_from = (rows[-1][0], rows[-1][1])
        oldest = time.time_ns() // 1000 - self._retention
        connection.executemany(
            "DELETE FROM diptych_outcomes WHERE tenant = ? AND id = ?",
            [(tenant, id) for tenant, id, written in rows if written < oldest],
        )


def refuse_ended(connection: sqlite3.Connection) -> None:
    """Without a transaction each statement would be committed by itself.

    Raises:
        BadResult: One of a handler's own statements has ended it.
    """
    if not connection.in_transaction:
        raise BadResult(
            "a handler",
            "ended the transaction (as INSERT OR ROLLBACK does), so nothing of its work is left. "
            "Use session.begin_nested() for a part that may fail.",
        )
