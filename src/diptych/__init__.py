"""CQRS for Python: a write panel, a read panel, and between them a log of domain events."""

from diptych.app import App, Limits
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
from diptych.read.query import Views
from diptych.read.view import View
from diptych.write.boundary import Boundary
from diptych.write.decider import Decider
from diptych.write.event_sourced import EventSourced

__all__ = [
    "Answer",
    "App",
    "BadMessage",
    "BadResult",
    "Boundary",
    "CommitUnknown",
    "Context",
    "Decider",
    "DiptychError",
    "EventSourced",
    "Fault",
    "IdReused",
    "InvalidMessage",
    "Limits",
    "Overloaded",
    "Position",
    "Principal",
    "Query",
    "Receipt",
    "Recorded",
    "Refused",
    "Stale",
    "StoreFault",
    "StreamConflict",
    "UnknownMessage",
    "View",
    "Views",
    "WiringError",
]
