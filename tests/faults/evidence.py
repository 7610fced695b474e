"""What a long round found, written down where a reader can look at it."""

from __future__ import annotations

import json
import os
from typing import Any

from benchmarks.environment import environment
from tests.faults.processes import ROOT

LONG = bool(os.environ.get("DIPTYCH_SOAK"))


def keep(name: str, **found: Any) -> None:
    """Prints what was found; a long round also writes docs/evidence/<name>.json."""
    print(name, json.dumps(found))
    if LONG:
        about = {"kind": "soak", **environment(ROOT), "found": found}
        (ROOT / "docs" / "evidence" / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n")
