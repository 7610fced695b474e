"""Tests without waiting: `given(…).when(…).then(…)`, and a clock of one's own."""

from diptych.testing.clock import ManualClock
from diptych.testing.given import given

__all__ = ["ManualClock", "given"]
