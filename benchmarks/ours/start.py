"""What `import diptych` costs, beside the parts it cannot do without."""

from __future__ import annotations

from benchmarks.comparators.imports import import_time

parts_imported = import_time("asyncio, dataclasses, msgspec")
diptych_imported = import_time("diptych")
everything_imported = import_time("diptych; from diptych import *")
