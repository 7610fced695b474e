"""What looking at an app, a machine or a store brings up, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Literal, TypeAlias

from msgspec import Struct


class Exit(IntEnum):
    """How an operation ended, as a program's exit status. Numbers never change their meaning."""

    OK = 0
    FINDINGS = 1
    """Something is wrong with what was looked at, or it was refused."""
    USAGE = 2
    """The command line makes no sense, or no app could be found."""
    STORE = 3
    """The store cannot be read, or what was asked cannot be known."""
    WARNINGS = 4
    """Only warnings, with --strict."""
    BUG = 70
    """An error that nobody foresaw; please report it."""
    INTERRUPTED = 130


Severity: TypeAlias = Literal["error", "warning", "note", "ok"]


class Finding(Struct, frozen=True, kw_only=True):
    """One of them.

    Attributes:
        code: Stable, for programs: ``mutating-fold``.
        subject: What it is about: a class, a function, a view, a file.
        remedy: "" where there is nothing to do.
    """

    code: str
    severity: Severity
    subject: str
    message: str
    remedy: str = ""


def exit_of(findings: Iterable[Finding], *, strict: bool) -> Exit:
    """Errors count always, warnings if they are to."""
    found = {finding.severity for finding in findings}
    if "error" in found:
        return Exit.FINDINGS
    return Exit.WARNINGS if strict and "warning" in found else Exit.OK
