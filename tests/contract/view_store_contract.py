"""What every view store must do; each adapter runs all of it.

A subclass gives two fixtures: `views`, open for `ALL_SHAPES` and empty, and `path`, a file beside
which nothing may come to be that the store does not put there itself.
"""

from __future__ import annotations

from tests.contract.read_only import ReadOnlySessions
from tests.contract.view_columns import Columns
from tests.contract.view_models import MODEL_SHAPES, Models
from tests.contract.view_rows import SHAPES
from tests.contract.view_saving import Saving
from tests.contract.view_sessions import Sessions

ALL_SHAPES = (*SHAPES, *MODEL_SHAPES)


class ViewStoreContract(Saving, Columns, Models, Sessions, ReadOnlySessions):
    """The contract of `diptych.read.port.ViewStore`."""
