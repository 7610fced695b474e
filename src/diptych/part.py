"""A part of an app: one feature's models, views, answers and policies, as FastAPI has routers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diptych.log.upcast import Upcast
    from diptych.read.model import ReadModel
    from diptych.read.query import Answerer
    from diptych.security.policy import May
    from diptych.write.model import WriteModel


class Part:
    """Describes a feature; nothing happens until it is wired: `App(name, parts=[ordering])`.

    One Part may be wired into several apps. Parameters are those of `App`.

    Args:
        write: Models, each with the commands it decides.
        read: Views, projections, tables.
        answer: Functions `async def answer(query, views)`.
        may: Policies on commands and queries.
        events: Classes of events that are recorded with `app.join` and that no model here writes.
        names: Stored names that differ from the class name in kebab-case.
        upcast: By stored event name, functions that lift its fields from each shape to the next.
    """

    def __init__(
        self,
        *,
        write: Sequence[WriteModel] = (),
        read: Sequence[ReadModel] = (),
        answer: Sequence[Answerer] = (),
        may: Sequence[May] = (),
        events: Sequence[type] = (),
        names: Mapping[str, type] | None = None,
        upcast: Mapping[str, Sequence[Upcast]] | None = None,
    ) -> None:
        self.write = tuple(write)
        self.read = tuple(read)
        self.answer = tuple(answer)
        self.may = tuple(may)
        self.events = tuple(events)
        self.names = dict(names or {})
        self.upcast = dict(upcast or {})
