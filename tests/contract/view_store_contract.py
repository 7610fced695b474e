"""What every view store must do; each adapter runs all that it can.

A subclass gives the fixture `views`, open for `ALL_SHAPES` and empty; where it speaks SQL also
`path`, a file beside which nothing may come to be that the store does not put there itself.
"""

from __future__ import annotations

from tests.contract.read_only import ReadOnlySessions
from tests.contract.view_columns import Columns, SqlColumns
from tests.contract.view_models import MODEL_SHAPES, Models, SqlModels
from tests.contract.view_rows import SHAPES
from tests.contract.view_saving import Saving
from tests.contract.view_sessions import Sessions, SqlSessions

ALL_SHAPES = (*SHAPES, *MODEL_SHAPES)


class ViewStoreContract(Saving, Columns, Models, Sessions):
    """The contract of `diptych.read.port.ViewStore`."""


class SqlViewStoreContract(ViewStoreContract, SqlColumns, SqlModels, SqlSessions, ReadOnlySessions):
    """The contract of `diptych.read.port.SqlViewStore`."""
