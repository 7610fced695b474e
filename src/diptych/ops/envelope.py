"""The one form in which every operation answers a program, and its JSON schema."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from diptych.ops.verbs import AnyVerb

R = TypeVar("R")

FORMAT = 1


class Problem(Struct, frozen=True, kw_only=True):
    """Why an operation could not be carried out.

    Attributes:
        type: Name of the error: ``StoreUnavailable``.
        message: With the remedy.
    """

    type: str
    message: str


class Envelope(Struct, Generic[R], frozen=True, kw_only=True):
    """An operation's answer: a result or an error.

    Attributes:
        diptych: Version of this form.
        verb: What was asked: ``events tail``; null where the command line made no sense.
        app: ``module:attribute``; null where none was found.
        exit: The exit status, as the reference lists them.
    """

    verb: str | None
    app: str | None
    time: datetime
    exit: int
    result: R | None = None
    error: Problem | None = None
    diptych: int = FORMAT


def enclose(
    verb: str | None,
    app: str | None,
    *,
    exit: int,
    result: Any = None,
    error: Problem | None = None,
) -> str:
    """The envelope as one line of JSON that may be shown anywhere."""
    envelope = Envelope[Any](
        verb=verb,
        app=app,
        time=datetime.now(UTC),
        exit=exit,
        result=result,
        error=error,
    )
    return _CONTROLS.sub(_escaped, msgspec.json.encode(envelope).decode())


# What JSON leaves as it is and a terminal may obey: DEL and C1, line separators, and the marks that
# change the direction of writing.
_CONTROLS = re.compile("[\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def shown(text: object) -> str:
    """A text as it may be shown in a terminal: what it could obey is written out."""
    return "".join(
        character
        if character.isprintable() and unicodedata.category(character) != "Cf"
        else character.encode("unicode_escape").decode("ascii")
        for character in str(text)
    )


def schema(verbs: Iterable[AnyVerb]) -> dict[str, Any]:
    """The JSON schema of all answers: one alternative for each type of result."""
    names: dict[Any, list[str]] = {}
    for verb in verbs:
        names.setdefault(verb.result, []).append(verb.name)
    generic: Any = Envelope
    forms, components = msgspec.json.schema_components(
        [generic[result] for result in (*names, None)], ref_template="#/$defs/{name}"
    )
    for component in components.values():
        if "description" in component:
            component["description"] = cleandoc(component["description"])
    for form, its_verbs in zip(forms, (*names.values(), None), strict=True):
        its = components[form["$ref"].rpartition("/")[2]]
        its["properties"]["verb"] = {"enum": its_verbs} if its_verbs else {"type": "null"}
        its["properties"]["diptych"] = {"const": FORMAT}
        its["required"] = list(its["properties"])
        its["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What diptych answers with --json",
        "oneOf": list(forms),
        "$defs": components,
    }


def schema_text() -> str:
    """The schema as it is published."""
    from diptych.ops.verbs import VERBS

    return json.dumps(schema(VERBS), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
