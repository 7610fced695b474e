"""Who reads what: events, views and queries that nobody seems to need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from inspect import unwrap
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from diptych.message import Query
from diptych.ops.findings import Finding

if TYPE_CHECKING:
    from diptych.wiring import Wiring


def unread(wiring: Wiring) -> Iterator[Finding]:
    """What nobody reads, or nobody writes."""
    yield from _events(wiring)
    yield from _views(wiring)
    yield from _queries(wiring)


def _events(wiring: Wiring) -> Iterator[Finding]:
    written: dict[type, list[Any]] = {}
    for model in wiring.models:
        for type_ in model.events:
            written.setdefault(type_, []).append(model)
    taken: dict[type, Any] = {}
    for read in wiring.reads:
        events: Sequence[type] = getattr(read, "events", ())
        taken.update((type_, read) for type_ in events if wiring.codec.knows(type_))
    for type_, models in written.items():
        if type_ not in taken and len(models) == 1:
            yield Finding(
                code="unread-event",
                severity="warning",
                subject=type_.__qualname__,
                message=f"nobody but {models[0]!r} takes it: no view, no other model",
                remedy="Let a view take it, or leave it out if nobody needs to know.",
            )
    for type_, read in taken.items():
        if type_ not in written:
            yield Finding(
                code="unwritten-event",
                severity="warning",
                subject=type_.__qualname__,
                message=f"{read!r} takes it, and no model here writes it",
                remedy="Wire the model that writes it with write=[…], or take it out of the view.",
            )


def _queries(wiring: Wiring) -> Iterator[Finding]:
    """Only in the modules that the app's own classes and functions come from."""
    rows = [view.row for view, _, _ in wiring.views]
    ours = {type_.__module__ for type_ in (*wiring.commands, *wiring.queries, *rows)}
    ours |= {answerer.__module__ for answerer in wiring.answerers}
    answered = set(wiring.queries)
    for type_ in _subclasses(Query):
        parents = type_.__mro__[1:]
        if (
            type_.__module__ in ours
            and type_ not in answered
            and getattr(sys.modules.get(type_.__module__), type_.__name__, None) is type_
            and not any(type_ in other.__mro__[1:] for other in answered)
            and not any(parent in answered for parent in parents)
        ):
            yield Finding(
                code="unanswered-query",
                severity="warning",
                subject=type_.__qualname__,
                message="no answerer takes it",
                remedy="Wire the function that answers it with answer=[…].",
            )


def _subclasses(type_: type[Any]) -> Iterator[type[Any]]:
    below: type[Any]
    for below in type_.__subclasses__():
        yield below
        yield from _subclasses(below)


def _views(wiring: Wiring) -> Iterator[Finding]:
    """A view counts as read if its rows' class, or its table, is named in an answerer's code.

    What is read in a roundabout way cannot be seen, so this is a note, not a warning.
    """
    names, values = set[str](), list[Any]()
    for answerer in wiring.answerers:
        for code, around in _codes(answerer, set()):
            names |= {*code.co_names, *code.co_freevars}
            names |= {text for text in code.co_consts if isinstance(text, str)}
            values += [around[name] for name in code.co_names if name in around]
    for view, shape, _ in wiring.views:
        row = view.row
        table = f"view_{shape.view.replace('-', '_')}"
        seen = row.__name__ in names or any(value is row for value in values)
        if not seen and not any(table in text for text in names):
            yield Finding(
                code="unread-view",
                severity="note",
                subject=row.__qualname__,
                message="no answerer can be seen to read this view",
                remedy="If nothing reads it, leave it out: it costs work for every event.",
            )


def _codes(
    function: Callable[..., Any], seen: set[CodeType]
) -> Iterator[tuple[CodeType, dict[str, Any]]]:
    """The code of a function, of those inside it, and of those of its module that it calls."""
    plain: Any = unwrap(function)
    if isinstance(plain, MethodType):
        plain = plain.__func__
    if not isinstance(plain, FunctionType) or plain.__code__ in seen:
        return
    around = plain.__globals__
    home = around.get("__name__", "").partition(".")[0]
    codes = [plain.__code__]
    while codes:
        code = codes.pop()
        seen.add(code)
        yield code, around
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        for name in code.co_names:
            called = around.get(name)
            if isinstance(called, FunctionType) and called.__module__.partition(".")[0] == home:
                yield from _codes(called, seen)
