"""What an app is made of, joined and checked before any I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from diptych.adapters.opening import place_of_views, refuse_unknown
from diptych.errors import WiringError
from diptych.log.codec import EventCodec
from diptych.log.names import Names, Stamp
from diptych.message import Query
from diptych.part import Part
from diptych.read.model import ReadModel
from diptych.read.projection import PlacedTables, Projection
from diptych.read.query import Answerer, queries_of
from diptych.read.replica import Replica
from diptych.read.tables import Tables
from diptych.read.view import Placed, View
from diptych.security.policy import NOBODY, Policy, policies, refuse_idle
from diptych.write.boundary import Boundary
from diptych.write.handlers import Handlers
from diptych.write.model import WriteModel
from diptych.write.state_stored import StateStored


class Wiring:
    """The parts of an app as one: what each name means, and who takes what.

    Args:
        context: Name of the app.
        store: URL of its store.
        parts: In order; their models, views and names are taken together.
        provided: Types that answerers and handlers may ask for.
        deny_by_default: Whether a message without a policy is denied to everybody.
        payload: Bytes of JSON that an event may have.

    Attributes:
        views: Each with its table, and where it rests.
        projections: Each with where its tables rest.

    Raises:
        WiringError: They do not fit together; the text says where and what to do.
    """

    def __init__(
        self,
        context: str,
        parts: Sequence[Part],
        *,
        store: str,
        provided: Collection[type],
        deny_by_default: bool,
        payload: int,
    ) -> None:
        self.context = context
        self.models: tuple[WriteModel, ...] = tuple(m for part in parts for m in part.write)
        self.reads: tuple[ReadModel, ...] = tuple(view for part in parts for view in part.read)
        self.answerers: tuple[Answerer, ...] = tuple(a for part in parts for a in part.answer)
        self.names = Names(_joined("names", [part.names for part in parts]))
        _refuse_shared(self.models)
        views = [read for read in self.reads if isinstance(read, View)]
        projections = [read for read in self.reads if isinstance(read, Projection)]
        _refuse_unwired(views, self.models)
        self.codec = EventCodec(
            _event_types(
                self.models,
                views,
                projections,
                [type_ for part in parts for type_ in part.events],
            ),
            self.names,
            _joined("upcast", [part.upcast for part in parts]),
            payload,
        )
        for model in self.models:
            if isinstance(model, Boundary):
                for type_, tags in model.tags.items():
                    self.codec.tag(type_, tags)
        self.views = _placed(views, self.names, store)
        self.projections = tuple(
            PlacedTables(one, place_of_views(one.store, store)) for one in projections
        )
        _refuse_contested(self.views, projections, self._written)
        self.commands = tuple(type_ for model in self.models for type_ in model.commands)
        self.queries = tuple(queries_of(self.answerers, provided))
        self._policies = policies([may for part in parts for may in part.may])
        self._deny_by_default = deny_by_default
        refuse_idle(self._policies, (*self.commands, *self.queries))
        for type_ in self.queries:
            policy = self._policies.get(type_)
            if policy is not None and policy.wants_state:
                raise WiringError(
                    f"policy on {type_.__name__} wants a state, but a query has none. "
                    "Write it as (principal, query)."
                )

    @property
    def tables(self) -> tuple[Any, ...]:
        """SQLAlchemy's metadata of the tables that users own, each once."""
        given = [model.tables for model in self.models if isinstance(model, Handlers)]
        given += [read.metadata for read in self.reads if isinstance(read, Tables)]
        return tuple({id(one): one for one in given if one is not None}.values())

    @property
    def _written(self) -> frozenset[str]:
        """Names of the tables that the write model writes."""
        names = {one.name for metadata in self.tables for one in metadata.tables.values()}
        mapped = (model.rows.row for model in self.models if isinstance(model, StateStored))
        tables = (getattr(row, "__table__", None) for row in mapped)
        return frozenset(names | {table.name for table in tables if table is not None})

    @property
    def places(self) -> tuple[str, ...]:
        """The stores that query models name, but for the app's own."""
        given = [*(one.place for one in self.views), *(one.place for one in self.projections)]
        return tuple(dict.fromkeys(place for place in given if place is not None))

    @property
    def readable(self) -> frozenset[str]:
        """Names of the users' own tables that answerers may read."""
        given = [read.metadata for read in self.reads if isinstance(read, Tables)]
        return frozenset(table.name for one in given for table in one.tables.values())

    def policy(self, message: type) -> Policy | None:
        """Who may send this command or ask this query; None where everybody may."""
        found = self._policies.get(message)
        return NOBODY if found is None and self._deny_by_default else found

    def stamps(self) -> list[Stamp]:
        """What a store should remember of the names, to be compared whenever it is opened."""
        stamps = self.codec.stamps()
        stamps += [kept.shape.stamp for kept in self.views if kept.place is None]
        tagged: dict[str, dict[str, str]] = {}
        for model in self.models:
            stamps.append(Stamp("model", model.name, 1, {model.kind: ""}))
            if isinstance(model, Boundary):
                for type_ in model.tags:
                    tagged.setdefault(self.codec.name(type_), {})[model.name] = ""
        stamps += [Stamp("tags", name, 1, boundaries) for name, boundaries in tagged.items()]
        return stamps


def _joined(what: str, given: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for mapping in given:
        for name, value in mapping.items():
            if joined.setdefault(name, value) is not value:
                raise WiringError(f"{what}: two parts give {name!r}. Give it in one of them.")
    return joined


def _event_types(
    models: Sequence[WriteModel],
    views: Sequence[View[Any]],
    projections: Sequence[Projection],
    joined: Sequence[type],
) -> tuple[type, ...]:
    """All event classes: what models write, what is joined, and what is taken from elsewhere.

    A view with split= may also take items that are no events; those it has only for itself.
    """
    types = dict.fromkeys(type_ for model in models for type_ in model.events)
    types.update(dict.fromkeys(joined))
    for view in views:
        types.update(dict.fromkeys(view.splits or view.projects))
    for projection in projections:
        types.update(dict.fromkeys(projection.events))
    return tuple(types)


def _placed(views: Sequence[View[Any]], names: Names, store: str) -> tuple[Placed, ...]:
    rows: set[type] = set()
    kept: list[Placed] = []
    for view in views:
        if view.row in rows:
            raise WiringError(f"two views keep {view.row.__name__}. Give each a row of its own.")
        rows.add(view.row)
        if view.store is not None:
            refuse_unknown(view.store)
        shape = view.shape(names.take("view", view.row))
        kept.append(Placed(view, shape, place_of_views(view.store, store)))
    return tuple(kept)


def _refuse_unwired(views: Sequence[View[Any]], models: Sequence[WriteModel]) -> None:
    """A replica copies a model of this app."""
    for view in views:
        if isinstance(view, Replica) and not any(view.model is model for model in models):
            raise WiringError(f"{view!r}: that model is not wired here. Wire it too: write=[…].")


def _refuse_contested(
    views: Sequence[Placed], projections: Sequence[Projection], written: Collection[str]
) -> None:
    """One checkpoint, and one table, has one owner.

    Args:
        written: Names of the tables that the write model writes.
    """
    names = {placed.shape.view for placed in views}
    by_table: dict[str, Projection] = {}
    for projection in projections:
        if projection.store is not None:
            refuse_unknown(projection.store)
        if projection.name in names:
            raise WiringError(
                f"projection {projection.name!r} has the name of another projection or view. "
                "Give it one of its own."
            )
        names.add(projection.name)
        for table in sorted(projection.tables.names):
            if table in written:
                raise WiringError(
                    f"table {table!r} is filled by {projection!r}, and belongs to the write model "
                    "(Handlers, Rows, Tables). Give the projection a MetaData of its own."
                )
            other = by_table.setdefault(table, projection)
            if other is not projection:
                raise WiringError(
                    f"table {table!r} is filled by {other!r} and by {projection!r}. Give each a "
                    "MetaData of its own."
                )


def _refuse_shared(models: Sequence[WriteModel]) -> None:
    """A model's name begins its streams, and one model alone writes an event, boundaries apart."""
    by_name: dict[str, WriteModel] = {}
    by_event: dict[type, WriteModel] = {}
    by_command: dict[type, WriteModel] = {}
    for model in models:
        if by_name.setdefault(model.name, model) is not model:
            raise WiringError(f"two models are named {model.name!r}. Give each a name of its own.")
        for type_ in model.commands:
            other = by_command.setdefault(type_, model)
            if other is not model:
                raise WiringError(
                    f"command {type_.__name__} is taken by {other!r} and by {model!r}. "
                    "One model decides a command; let the other react to its events."
                )
            if issubclass(type_, Query):
                raise WiringError(
                    f"{model!r} takes {type_.__name__}, which is a Query: it never changes "
                    "anything. Let the command be a plain dataclass."
                )
        if isinstance(model, Boundary):
            continue
        for type_ in model.events:
            other = by_event.setdefault(type_, model)
            if other is not model:
                raise WiringError(
                    f"event {type_.__name__} belongs to {other!r} and to {model!r}. "
                    "One model writes an event; a Boundary may read it as well."
                )
