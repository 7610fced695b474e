"""What a row is: which variants run, in which order, and what is promised of the ratio.

Variants are named by module and function, so that the process that measures one imports nothing
of the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.measuring import Measure

OURS = "diptych"


@dataclass(frozen=True)
class Variant:
    """One way to do a row's work; `share` of the seconds of a measurement are enough for it."""

    title: str
    module: str
    function: str
    arguments: tuple[int, ...] = ()
    options: tuple[tuple[str, bool], ...] = ()
    share: float = 1.0

    def load(self) -> Measure:
        function: Callable[..., Measure] = getattr(
            importlib.import_module(f"benchmarks.{self.module}"), self.function
        )
        if self.arguments or self.options:
            return function(*self.arguments, **dict(self.options))
        return function  # type: ignore[return-value]  # takes the settings itself


@dataclass(frozen=True)
class Promise:
    """A ratio ours/other (rates), or ours alone (`absolute`), with its aim and its floor."""

    against: str
    aim: float
    floor: float
    kind: Literal["limit", "peer", "absolute"]


@dataclass(frozen=True)
class Row:
    """A piece of work.

    Attributes:
        postgres: Each measurement gets a new database of the run's server.
        once: One round is enough: it is no rate, or it takes long.
    """

    title: str
    unit: str
    variants: dict[str, Variant]
    order: tuple[str, ...]
    promises: tuple[Promise, ...]
    higher_is_better: bool = True
    note: str = ""
    postgres: bool = False
    once: bool = False


# The shared comparators run for half a second: longer, and the streams they read have grown so far
# that the limit is no longer one.
SHORT = 1 / 3
