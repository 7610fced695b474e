"""Carrying a command out: once, or again and again; for people, or as JSON for programs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from contextlib import aclosing
from pathlib import Path
from typing import Any

from rich.console import Console

from diptych.cli.parsing import Invocation
from diptych.cli.rendering import STYLES, line, render
from diptych.errors import AppNotFound, DiptychError, StoreFault
from diptych.ops.envelope import Problem, enclose
from diptych.ops.findings import Exit
from diptych.ops.target import Target
from diptych.ops.verbs import Risk

WIDE = 120
"""Columns where nobody says how many there are, as in a pipe."""


class _Output:
    """Where answers go: to people through rich, or to programs as envelopes."""

    def __init__(self, invocation: Invocation, target: Target) -> None:
        self._invocation = invocation
        self._target = target
        known = sys.stdout.isatty() or "COLUMNS" in os.environ
        self._console = Console(width=None if known else WIDE, highlight=False, emoji=False)
        self._errors = Console(stderr=True, width=None if known else WIDE, highlight=False)

    def result(self, result: Any) -> None:
        if self._invocation.common.json:
            self._enclose(int(result.exit), result=result)
        else:
            render(result, self._console)
        sys.stdout.flush()

    def failure(self, error: Exception, exit: Exit) -> None:
        if self._invocation.common.json:
            problem = Problem(type=type(error).__name__, message=str(error))
            self._enclose(exit, error=problem)
        else:
            line(self._errors, ("diptych: ", STYLES["error"]), str(error) or repr(error))
        if exit is Exit.BUG:
            traceback.print_exception(error)
        sys.stdout.flush()

    def again(self) -> None:
        """Before one more round."""
        if not self._invocation.common.json and self._console.is_terminal:
            self._console.clear()

    def _enclose(self, exit: int, **answer: Any) -> None:
        try:
            app: str | None = self._target.name
        except AppNotFound:
            app = None
        envelope = enclose(self._invocation.verb.name, app, exit=exit, **answer)
        sys.stdout.write(f"{envelope}\n")


def carry_out(invocation: Invocation) -> int:
    """Does what was asked for; returns the exit status."""
    if invocation.verb.risk is Risk.RUNS:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    output = _Output(invocation, Target(invocation.common.app, Path.cwd()))
    try:
        return asyncio.run(_rounds(invocation, output))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


async def _rounds(invocation: Invocation, output: _Output) -> Exit:
    if not invocation.watching.watch:
        return await _once(invocation, output)
    while True:
        output.again()
        await _once(invocation, output)
        await asyncio.sleep(invocation.watching.interval)


async def _once(invocation: Invocation, output: _Output) -> Exit:
    target = Target(invocation.common.app, Path.cwd())
    exit = Exit.OK
    try:
        async with aclosing(invocation.verb.do(target, invocation.arguments)) as results:
            async for result in results:
                output.result(result)
                exit = result.exit
    except (asyncio.CancelledError, BrokenPipeError):
        raise
    except Exception as error:
        exit = _exit_of(error)
        output.failure(error, exit)
    return exit


def _exit_of(error: Exception) -> Exit:
    match error:
        case AppNotFound():
            return Exit.USAGE
        case StoreFault():
            return Exit.STORE
        case DiptychError():
            return Exit.FINDINGS
        case _:
            return Exit.BUG
