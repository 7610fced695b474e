"""Everything that can be said about an app without starting it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from diptych.ops.findings import Exit, Finding, exit_of

if TYPE_CHECKING:
    from diptych.app import App
    from diptych.ops.target import Target


class Check(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        context: None where the app does not fit together.
        schema_file: Its path.
        schema: How it stands; ``to be written`` is the answer to --dry-run.
        strict: Whether warnings count.
    """

    context: str | None
    schema_file: str
    schema: Literal["same", "differs", "missing", "written", "to be written", "unread"]
    strict: bool
    findings: tuple[Finding, ...]

    @property
    def exit(self) -> Exit:
        """Errors, or warnings where they count."""
        return exit_of(self.findings, strict=self.strict)


async def check(target: Target, *, accept: bool, strict: bool, dry_run: bool) -> Check:
    """Reads the code and the schema file; opens no store.

    Raises:
        AppNotFound: There is no app to check.
    """
    from diptych.errors import WiringError
    from diptych.ops.schema_file import NAME

    file = target.root / NAME
    try:
        app = target.app
    except WiringError as error:
        finding = Finding(
            code="wiring", severity="error", subject=target.name, message=str(error).rstrip(".")
        )
        return Check(
            context=None,
            schema_file=str(file),
            schema="unread",
            strict=strict,
            findings=(finding,),
        )
    found = _schema(
        app,
        Check(context=app.name, schema_file=str(file), schema="same", strict=strict, findings=()),
        accept=accept,
        dry_run=dry_run,
    )
    return replace(found, findings=(*found.findings, *_code(app)))


def _code(app: App) -> Iterable[Finding]:
    from diptych.ops.naming import data_centric
    from diptych.ops.reading import unread
    from diptych.ops.trying import Trial

    yield from unread(app.wiring)
    for command in app.wiring.commands:
        finding = data_centric(command)
        if finding is not None:
            yield finding
    yield from Trial().run(app.wiring)


def _schema(app: App, found: Check, *, accept: bool, dry_run: bool) -> Check:
    from pathlib import Path

    from diptych.errors import SchemaChanged
    from diptych.ops import schema_file

    file = Path(found.schema_file)
    stamps = schema_file.stamps_of(app.wiring)
    try:
        accepted = schema_file.read(file, app.name)
    except SchemaChanged as error:
        problem = Finding(
            code="schema-file", severity="error", subject=file.name, message=str(error).rstrip(".")
        )
        return replace(found, schema="unread", findings=(problem,))
    if accepted is None:
        missing = Finding(
            code="schema-file-missing",
            severity="warning",
            subject=file.name,
            message="nothing tells when a stored name or field changes",
            remedy="Write it, and commit it: diptych check --accept.",
        )
        differing: list[Finding] = [] if accept else [missing]
    else:
        differing = schema_file.differences(accepted, stamps)
    if not accept:
        state: Literal["missing", "differs", "same"] = "missing" if accepted is None else "same"
        return replace(
            found, schema="differs" if differing and accepted else state, findings=tuple(differing)
        )
    if accepted is not None and not differing:
        return found
    if not dry_run:
        schema_file.write(file, app.name, stamps)
    return replace(
        found,
        schema="to be written" if dry_run else "written",
        findings=tuple(replace(one, severity="note") for one in differing),
    )
