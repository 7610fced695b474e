"""What a query model is, whatever keeps its rows."""

from __future__ import annotations

from typing import Any, TypeAlias

from diptych.read.projection import Projection
from diptych.read.tables import Tables
from diptych.read.view import View

ReadModel: TypeAlias = View[Any] | Projection | Tables
