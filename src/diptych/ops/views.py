"""The views of an app: what each keeps, what it is made from, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from diptych.ops.findings import Exit
from diptych.ops.kept import Kind
from diptych.ops.words import State

if TYPE_CHECKING:
    from diptych.ops.target import Target


class ListedView(Struct, frozen=True, kw_only=True):
    """A view of the app.

    Attributes:
        store: Where it rests; null for beside the log.
        keeps: Class of its rows, or names of its tables.
        key: Columns that name a row; none for a projection.
        columns: Their stored form, by name.
        events: Stored names of the events it is made from.
    """

    name: str
    version: int
    kind: Kind
    inline: bool
    store: str | None
    keeps: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    events: tuple[str, ...]
    state: State
    since: datetime | None
    position: int | None


class ViewList(Struct, frozen=True, kw_only=True):
    """The views of an app, in the order of its code."""

    context: str
    views: tuple[ListedView, ...]

    @property
    def exit(self) -> Exit:
        """The store is needed for the words."""
        unknown = any(view.state == "unknown" for view in self.views)
        return Exit.STORE if unknown else Exit.OK


async def list_views(target: Target) -> ViewList:
    """Reads code and store; see `status` for what it raises."""
    from diptych.ops.kept import kept
    from diptych.ops.status import status

    app = target.app
    found = {(view.name, view.version): view for view in (await status(target)).views}
    views: list[ListedView] = []
    for one in kept(app.wiring):
        its = found[(one.name, one.version)]
        views.append(
            ListedView(
                name=one.name,
                version=one.version,
                kind=one.kind,
                inline=one.inline,
                store=one.place,
                keeps=one.keeps,
                key=one.key,
                columns=one.columns,
                events=app.wiring.codec.names(
                    [type_ for type_ in one.events if app.wiring.codec.knows(type_)]
                ),
                state=its.state,
                since=its.since,
                position=its.position,
            )
        )
    return ViewList(context=app.name, views=tuple(views))
