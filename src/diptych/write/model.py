"""What a write model is, whatever keeps its state."""

from __future__ import annotations

from typing import Any, TypeAlias

from diptych.write.boundary import Boundary
from diptych.write.event_sourced import EventSourced
from diptych.write.handlers import Handlers
from diptych.write.state_stored import StateStored

WriteModel: TypeAlias = EventSourced[Any] | StateStored[Any] | Boundary[Any] | Handlers
