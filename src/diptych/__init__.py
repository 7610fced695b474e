"""CQRS for Python: a write panel, a read panel, and between them a log of domain events.

The names below are loaded when they are first used: `import diptych` itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diptych.app import App
    from diptych.blocking import sync
    from diptych.errors import (
        BadMessage,
        BadResult,
        CommitUnknown,
        DiptychError,
        Fault,
        IdReused,
        InvalidMessage,
        Overloaded,
        Refused,
        Stale,
        StoreFault,
        StreamConflict,
        UnknownMessage,
        WiringError,
    )
    from diptych.message import Answer, Context, Position, Principal, Query, Receipt, Recorded
    from diptych.part import Part
    from diptych.read.projection import Projection
    from diptych.read.replica import replica
    from diptych.read.tables import Tables
    from diptych.read.view import View
    from diptych.read.views import Views
    from diptych.running import Limits
    from diptych.security.policy import Allow, Deny
    from diptych.write.boundary import Boundary
    from diptych.write.decider import Decider
    from diptych.write.event_sourced import EventSourced
    from diptych.write.handlers import Handlers
    from diptych.write.state_stored import Rows, StateStored

__all__ = [
    "Allow",
    "Answer",
    "App",
    "BadMessage",
    "BadResult",
    "Boundary",
    "CommitUnknown",
    "Context",
    "Decider",
    "Deny",
    "DiptychError",
    "EventSourced",
    "Fault",
    "Handlers",
    "IdReused",
    "InvalidMessage",
    "Limits",
    "Overloaded",
    "Part",
    "Position",
    "Principal",
    "Projection",
    "Query",
    "Receipt",
    "Recorded",
    "Refused",
    "Rows",
    "Stale",
    "StateStored",
    "StoreFault",
    "StreamConflict",
    "Tables",
    "UnknownMessage",
    "View",
    "Views",
    "WiringError",
    "replica",
    "sync",
]

if not TYPE_CHECKING:  # a checker sees the imports above, and so a name that is not there
    _HOMES = {
        "diptych.app": ("App",),
        "diptych.blocking": ("sync",),
        "diptych.message": (
            "Answer",
            "Context",
            "Position",
            "Principal",
            "Query",
            "Receipt",
            "Recorded",
        ),
        "diptych.part": ("Part",),
        "diptych.read.projection": ("Projection",),
        "diptych.read.replica": ("replica",),
        "diptych.read.tables": ("Tables",),
        "diptych.read.view": ("View",),
        "diptych.read.views": ("Views",),
        "diptych.running": ("Limits",),
        "diptych.security.policy": ("Allow", "Deny"),
        "diptych.write.boundary": ("Boundary",),
        "diptych.write.decider": ("Decider",),
        "diptych.write.event_sourced": ("EventSourced",),
        "diptych.write.handlers": ("Handlers",),
        "diptych.write.state_stored": ("Rows", "StateStored"),
    }
    _HOME = {name: home for home, names in _HOMES.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'diptych' has no attribute {name!r}")
        value = getattr(import_module(_HOME.get(name, "diptych.errors")), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return __all__
