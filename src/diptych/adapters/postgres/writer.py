"""The one committer of a process: hands groups to the database, and finds out what became of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from asyncpg import exceptions as pg

from diptych.adapters.grouping import Answers, carry_out_waiting
from diptych.adapters.inline import judge_group
from diptych.adapters.judge import Judge
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import (
    BEGIN,
    ERRORS,
    Connection,
    begin,
    fault,
    is_fault,
    is_lost,
    take,
)
from diptych.adapters.postgres.finding_out import found_out
from diptych.adapters.postgres.group import InlineView, write_group, written
from diptych.adapters.postgres.ledger import Remembered, Unknown
from diptych.adapters.postgres.preparing import connect_to_log, rewound
from diptych.adapters.postgres.rows import RowMoved, RowTables
from diptych.adapters.postgres.schema import LOCK_MS, Statements
from diptych.adapters.postgres.turn import Turn
from diptych.errors import BadResult, StoreFault
from diptych.log.commit import Commit
from diptych.message import Position

if TYPE_CHECKING:
    from diptych.adapters.postgres.statements import Executor

SWEEP = 512
"""Commits between two sweeps of old outcomes, and how many outcomes one sweep looks at."""

ALONE = 2
"""Groups in a row before which nobody else has written, so that the next may go at once: a call
that finds that somebody has waits for the lock for nothing."""

NEVER = -(2**62)

ROUNDS = 4
"""Times that a group is written anew since somebody else's rows were in its way."""


class Writer:
    """Owns the connection that writes groups; used by one task at a time.

    Args:
        rows: Tables that keep states.
        epoch: Of the log that was opened.
        retention: For how long outcomes are kept at least.

    Attributes:
        inline: Views that are kept in the commits.
        head: Of the log, as of the last group.
        positions: Of inline views, as of the last group.
    """

    def __init__(
        self,
        address: Address,
        sql: Statements,
        rows: RowTables,
        turn: Turn,
        *,
        epoch: str,
        retention: timedelta,
    ) -> None:
        self._turn = turn
        self._address = address
        self._sql = sql
        self._rows = rows
        self._epoch = epoch
        self._retention = retention // timedelta(microseconds=1)
        self._id = os.urandom(8).hex()
        self._groups = 0
        self._connection: Connection | None = None
        self.remembered: Remembered | None = None
        """What is certain as long as nobody else writes; None where that is not known."""
        self._alone = ALONE
        """Groups in a row before which nobody else had written."""
        self.inline: Sequence[InlineView] = ()
        self.head: Position = 0
        self.positions: Mapping[str, Position] = {}
        self._writes = 0
        """As of the last group: where there are fewer, somebody has turned the store back."""
        self._since_sweep = 0
        self._sweep_from = ("", "")
        self._executor: Executor | None = None

    async def connection(self) -> Connection:
        """The open connection; a new one where it was lost.

        Raises:
            StoreFault: There is none to be had, or it leads to another log.
        """
        if self._connection is None or self._connection.is_closed():
            self.remembered = None
            self._connection = await connect_to_log(self._address, self._sql, self._epoch)
        return self._connection

    async def close(self) -> None:
        """Lets go of the connection."""
        if self._executor is not None:
            await self._executor.close()
        if self._connection is not None:
            with suppress(*ERRORS):
                await self._connection.close(timeout=2)
            self._connection = None

    async def write(self, commits: Sequence[Commit]) -> Answers:
        """Writes a group with one commit of the database; each is answered on its own."""
        answers = await carry_out_waiting(commits, self._write)
        await self._sweep(len(commits))
        return answers

    async def _write(self, commits: Sequence[Commit]) -> Answers:
        """Once more where the connection was lost, and it is certain that nothing has happened."""
        for attempt in (1, 2):
            self._groups += 1
            group = f"{self._id}-{self._groups}"
            try:
                return await self._attempt(commits, group)
            except _Lost as lost:
                if lost.answers is not None and await self._happened(group, lost.cause):
                    return lost.answers
                if attempt == 2:
                    raise fault(lost.cause, self._address.where) from lost.cause
        raise AssertionError

    async def _attempt(self, commits: Sequence[Commit], group: str) -> Answers:
        connection = await self.connection()
        try:
            answers = await self._write_at_once(connection, commits, group)
            if answers is not None:
                return answers
            for _ in range(ROUNDS):
                with suppress(RowMoved, pg.DeadlockDetectedError):
                    return await self._write_under_lock(connection, commits, group)
            return await self._write_under_lock(connection, commits, group)
        except StoreFault:
            raise
        except ERRORS as error:
            if is_lost(error):
                connection.terminate()
                raise _Lost(error, None) from error
            if is_fault(error):
                raise fault(error, self._address.where) from error
            if isinstance(error, pg.DataError):
                connection.terminate()  # see Pool.lend
            raise

    async def _write_at_once(
        self, connection: Connection, commits: Sequence[Commit], group: str
    ) -> Answers | None:
        """In one trip, on what this process remembers; None where it must look, or has to."""
        remembered = self.remembered
        if remembered is None or self._alone < ALONE or self.inline:
            return None
        if any(_needs_more(commit) for commit in commits):
            return None
        try:
            judge, answers = judge_group(commits, lambda: Judge(remembered, remembered.head), ())
        except Unknown:
            return None
        if judge.empty:
            # Refusals and conflicts are answered from what is there, not from what is remembered.
            return None
        values = written(judge, remembered.head)
        try:
            ((happened,),) = await connection.fetch(
                self._sql.write, remembered.writes, self._id, group, *values
            )
        except pg.UniqueViolationError:  # a command id that was used before, most likely
            return None
        except (pg.ActiveSQLTransactionError, pg.ReadOnlySQLTransactionError):
            # By default the server begins others.
            self._alone = NEVER
            return None
        except ERRORS as error:
            self.remembered = None
            if is_lost(error):
                connection.terminate()
                raise _Lost(error, answers) from error
            raise
        if not happened:
            self._alone, self.remembered = 0, None
            return None
        self._took(remembered, judge)
        return answers

    async def _write_under_lock(
        self, connection: Connection, commits: Sequence[Commit], group: str
    ) -> Answers:
        async with AsyncExitStack() as turn:
            return await self._write_in_turn(connection, commits, group, turn)

    async def _write_in_turn(
        self,
        connection: Connection,
        commits: Sequence[Commit],
        group: str,
        turn: AsyncExitStack,
    ) -> Answers:
        remembered, self.remembered = self.remembered, None
        try:
            await self._begin(connection, commits, turn)
            ledger, judge, answers = await write_group(
                connection,
                self._sql,
                commits,
                rows=self._rows,
                inline=self.inline,
                execute=partial(self._execute, connection),
                writer=self._id,
                group=group,
            )
            if ledger.writes < self._writes:
                raise rewound(self._address)
            if remembered is None or remembered.writes != ledger.writes:
                if remembered is not None:
                    self._alone = min(self._alone, 0)
                remembered = Remembered(ledger.head, ledger.writes)
            else:
                self._alone += 1
            if judge.empty:
                await connection.execute("ROLLBACK")
                self._took(remembered, judge)
                return answers
        except BaseException:
            with suppress(*ERRORS):
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
            raise
        try:
            await connection.execute("COMMIT")
        except pg.IntegrityConstraintViolationError as error:
            raise BadResult("what was to be committed", f"failed: {error}.") from error
        except ERRORS as error:
            connection.terminate()
            raise _Lost(error, answers) from error
        self._took(remembered, judge)
        return answers

    async def _execute(self, connection: Connection, statements: Sequence[Any]) -> None:
        if self._executor is None:
            from diptych.adapters.postgres.statements import Executor

            self._executor = Executor(self._address)
        await self._executor.execute(connection, statements)

    async def _begin(
        self, connection: Connection, commits: Sequence[Commit], turn: AsyncExitStack
    ) -> None:
        """Rows first, then the turn, then the store's lock: nobody waits in a circle."""
        if not any(append.row is not None for commit in commits for append in commit.appends):
            await turn.enter_async_context(self._turn)
            await connection.execute(begin(self._address.lock))
            return
        await connection.execute(f"{BEGIN}; SET LOCAL lock_timeout = {LOCK_MS}")
        await self._rows.hold(connection, commits)
        await turn.enter_async_context(self._turn)
        await connection.execute(take(self._address.lock))

    def _took(self, remembered: Remembered, judge: Judge) -> None:
        """What a judge says is true now, and certain as long as nobody else writes."""
        remembered.take(judge)
        self.remembered = remembered
        self._writes = remembered.writes
        self.took(judge)

    def took(self, judge: Judge) -> None:
        """What a judge says has been committed, by whichever connection of this process."""
        self.head = max(self.head, judge.head)
        if judge.advances:
            moved = {
                advance.checkpoint: max(advance.position, self.positions.get(advance.checkpoint, 0))
                for advance in judge.advances
            }
            self.positions = {**self.positions, **moved}

    async def _happened(self, group: str, cause: BaseException) -> bool:
        """Whether a group was committed whose connection was lost.

        What is still on its way finds that somebody has written, and writes nothing.

        Raises:
            CommitUnknown: The server cannot be asked.
        """

        async def ask() -> bool:
            try:
                connection = await self.connection()
                async with self._turn:
                    await connection.execute(begin(self._address.lock))
                    await connection.execute(self._sql.fence)
                    rows = await connection.fetch(self._sql.select_written, self._id)
                    await connection.execute("COMMIT")
            except (StoreFault, *ERRORS):
                if self._connection is not None:
                    self._connection.terminate()
                raise
            return bool(rows) and rows[0][0] == group

        return await found_out(ask, where=self._address.where, cause=cause)

    async def _sweep(self, commits: int) -> None:
        """Now and then, forgets some outcomes that are older than the retention."""
        self._since_sweep += commits
        if self._since_sweep < SWEEP:
            return
        self._since_sweep = 0
        oldest = time.time_ns() // 1000 - self._retention
        with suppress(StoreFault, *ERRORS):  # nothing depends on it; the next one tries again
            connection = await self.connection()
            rows = await connection.fetch(
                self._sql.sweep_outcomes, *self._sweep_from, SWEEP, oldest
            )
            self._sweep_from = ("", "") if not rows else (rows[-1][0], rows[-1][1])


def _needs_more(commit: Commit) -> bool:
    """Whether it writes more than events and an outcome."""
    return bool(
        commit.rows
        or commit.statements
        or commit.advance
        or any(append.row is not None for append in commit.appends)
    )


class _Lost(Exception):
    """The connection was lost.

    Attributes:
        answers: Those that are true if the group was committed; None where it cannot have been.
    """

    def __init__(self, cause: BaseException, answers: Answers | None) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.answers = answers
