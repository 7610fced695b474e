"""Markup that cannot be forgotten to be escaped: text becomes `Html` through `html` alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class Html:
    """Markup; whatever is not `Html` is text, and is escaped."""

    markup: str


EMPTY = Html("")


def html(template: LiteralString, **values: object) -> Html:
    """The template, written by us, with values, which may come from anybody, in its braces."""
    safe = {name: _markup(value) for name, value in values.items()}
    return Html(template.format_map(safe))


def join(parts: Iterable[Html], between: LiteralString = "\n") -> Html:
    return Html(between.join(part.markup for part in parts))


def _markup(value: object) -> str:
    return value.markup if isinstance(value, Html) else escape(str(value), quote=True)
