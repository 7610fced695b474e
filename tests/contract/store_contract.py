"""What every store must do; each adapter runs all of it.

A subclass gives one fixture, `store`: open for `CONTEXT`, empty, with a place for the rows of
views. The subclass closes what is still open.
"""

from __future__ import annotations

from tests.contract.appending import Appending
from tests.contract.conditions import Conditions
from tests.contract.grouping import Grouping
from tests.contract.outcomes import Outcomes
from tests.contract.reading import Reading


class StoreContract(Appending, Conditions, Outcomes, Grouping, Reading):
    """The contract of `diptych.log.port.Store`."""
