"""The query models of an app that follow its log, whatever kind they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from diptych.log.names import BY

if TYPE_CHECKING:
    from diptych.wiring import Wiring

Kind: TypeAlias = Literal["view", "projection"]


class Kept(NamedTuple):
    """One of them.

    Attributes:
        place: URL of the store that keeps it, without a password; None for beside the log.
        keeps: Class of its rows, or names of its tables.
        key: Columns that name a row; none for a projection.
        columns: Their stored form; those of a projection with the name of their table.
    """

    checkpoint: str
    name: str
    version: int
    kind: Kind
    inline: bool
    place: str | None
    keeps: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    events: tuple[type, ...]


def kept(wiring: Wiring) -> list[Kept]:
    """All of them, views first, in the order of the code."""
    from diptych.adapters.opening import where

    views = [
        Kept(
            checkpoint=shape.checkpoint,
            name=shape.view,
            version=shape.version,
            kind="view",
            inline=view.inline,
            place=None if place is None else where(place),
            keeps=shape.row.__qualname__,
            key=shape.key,
            columns=shape.fields,
            events=view.events,
        )
        for view, shape, place in wiring.views
    ]
    projections = [
        Kept(
            checkpoint=projection.tables.checkpoint,
            name=projection.name,
            version=projection.version,
            kind="projection",
            inline=False,
            place=None if place is None else where(place),
            keeps=", ".join(sorted(projection.tables.names)),
            key=(),
            columns={
                f"{stamp.name}.{column}": form
                for stamp in projection.tables.stamps
                for column, form in stamp.shape.items()
                if column != BY
            },
            events=projection.events,
        )
        for projection, place in wiring.projections
    ]
    return views + projections
