"""A misspelt name is an error before anything runs, although names are loaded lazily."""

from diptych import Recieved  # type: ignore[attr-defined]
from diptych.testing import gven  # type: ignore[attr-defined]

misspelt = (Recieved, gven)  # pyright: ignore[reportUnknownVariableType]
