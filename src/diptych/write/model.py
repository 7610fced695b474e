"""What a write model is, whatever keeps its state."""

from __future__ import annotations

from typing import Any, TypeAlias

from diptych.write.boundary import Boundary
from diptych.write.event_sourced import EventSourced
from diptych.write.handlers import Handlers

WriteModel: TypeAlias = EventSourced[Any] | Boundary[Any] | Handlers
