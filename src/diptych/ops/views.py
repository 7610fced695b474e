"""The views of an app: what each keeps, what it is made from, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from diptych.ops.findings import Exit
from diptych.ops.words import State

if TYPE_CHECKING:
    from diptych.ops.target import Target


class ListedView(Struct, frozen=True, kw_only=True):
    """A view of the app.

    Attributes:
        row: Class of its rows.
        key: Columns that name a row.
        columns: Their stored form, by name.
        events: Stored names of the events it is made from.
    """

    name: str
    version: int
    inline: bool
    row: str
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
    from diptych.log.messages import message_type
    from diptych.ops.status import status

    app = target.app
    found = {(view.name, view.version): view for view in (await status(target)).views}
    views: list[ListedView] = []
    for row, shape in app.wiring.shapes.items():
        standing = found[(shape.view, shape.version)]
        codec = app.wiring.codec
        events = app.wiring.views[row].events
        views.append(
            ListedView(
                name=shape.view,
                version=shape.version,
                inline=standing.inline,
                row=row.__qualname__,
                key=shape.key,
                columns=message_type(row, shape.view).shape(),
                events=codec.names([type_ for type_ in events if codec.knows(type_)]),
                state=standing.state,
                since=standing.since,
                position=standing.position,
            )
        )
    return ViewList(context=app.name, views=tuple(views))
