"""docs/benchmarks.md and its plot, from the raw results of one run."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.growth_report import newest, write_growth
from benchmarks.plot import Bar, svg
from benchmarks.rows import OURS, ROWS, Promise, Row

DOCS = Path(__file__).parent.parent / "docs"


@dataclass(frozen=True)
class Spread:
    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.middle)} [{short(self.low)}, {short(self.high)}]"


def short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: list[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


class Results:
    """The values of a run by row, round and variant; a variant's runs in one round are averaged."""

    def __init__(self, path: Path) -> None:
        self.about: dict[str, Any] = {}
        self.errors: list[str] = []
        found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(
            lambda: defaultdict(list[float])
        )
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if line["kind"] == "run":
                self.about = line
            elif "error" in line:
                self.errors.append(f"{line['row']}, {line['variant']}: {line['error']}")
            else:
                found[line["row"], line["variant"]][line["round"]].append(line["value"])
        self._values = {
            key: {turn: fmean(values) for turn, values in rounds.items()}
            for key, rounds in found.items()
        }

    def has(self, row: str) -> bool:
        return (row, OURS) in self._values

    def values(self, row: str, variant: str) -> Spread | None:
        rounds = self._values.get((row, variant))
        return spread(list(rounds.values())) if rounds else None

    def ratio(self, row: str, variant: str, *, higher_is_better: bool) -> Spread | None:
        """How many times as good as the variant we are, round by round."""
        ours = self._values.get((row, OURS), {})
        other = self._values.get((row, variant), {})
        both = sorted(ours.keys() & other.keys())
        if not both:
            return None
        if higher_is_better:
            return spread([ours[turn] / other[turn] for turn in both])
        return spread([other[turn] / ours[turn] for turn in both])


def verdict(value: float, promise: Promise) -> str:
    if promise.kind == "absolute":
        if value <= promise.aim:
            return "aim reached"
        return "above the floor" if value <= promise.floor else "**below the floor**"
    if value >= promise.aim:
        return "aim reached"
    return "above the floor" if value >= promise.floor else "**below the floor**"


_HEAD = (
    "| Work | Compared with | Its figure | Ours | Ratio [min, max] | Aim | Floor | Verdict |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def _lines(name: str, row: Row, results: Results) -> list[str]:
    ours = results.values(name, OURS)
    lines: list[str] = []
    judged: set[str] = set()
    for promise in row.promises:
        judged.add(promise.against)
        if promise.kind == "absolute":
            told = verdict(ours.middle, promise) if ours else "no result"
            aim, floor = f"{promise.aim:g}{row.unit}", f"{promise.floor:g}{row.unit}"
            lines.append(_line(row, "itself", "", f"{ours}{row.unit}", "", aim, floor, told))
            continue
        other = results.values(name, promise.against)
        ratio = results.ratio(name, promise.against, higher_is_better=row.higher_is_better)
        told = verdict(ratio.middle, promise) if ratio else "no result"
        times = "x" if promise.kind == "peer" else ""
        lines.append(
            _line(
                row,
                row.variants[promise.against].title,
                short(other.middle) + row.unit if other else "-",
                short(ours.middle) + row.unit if ours else "-",
                f"{ratio}{times}" if ratio else "-",
                f"{promise.aim:g}{times}",
                f"{promise.floor:g}{times}",
                told,
            )
        )
    for variant, described in row.variants.items():
        if variant == OURS or variant in judged:
            continue
        other = results.values(name, variant)
        ratio = results.ratio(name, variant, higher_is_better=row.higher_is_better)
        figure = short(other.middle) + row.unit if other else "-"
        mine = short(ours.middle) + row.unit if ours else "-"
        lines.append(
            _line(row, described.title, figure, mine, str(ratio or "-"), "", "", "for comparison")
        )
    return lines


def _line(row: Row, *cells: str) -> str:
    return "| " + " | ".join((row.title, *cells)) + " |\n"


def write_report(raw: Path) -> str:
    """Writes docs/benchmarks.md and docs/evidence/<run>.svg; returns the table."""
    results = Results(raw)
    rows = {name: row for name, row in ROWS.items() if results.has(name)}
    table = _HEAD + "".join(
        line for name, row in rows.items() for line in _lines(name, row, results)
    )
    picture = raw.with_suffix(".svg")
    picture.write_text(svg(_bars(rows, results)))
    about = results.about
    settings, machine = about["settings"], about["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    references = [r for name in rows if (r := results.values(name, "reference")) is not None]
    disk = spread([r.middle for r in references]) if references else None
    notes = [f"- {row.title}: {row.note}\n" for row in rows.values() if row.note]
    failed = [f"- {error}\n" for error in results.errors]
    growth = newest(raw.parent)
    served = about.get("postgres")
    absent = [row.title for name, row in ROWS.items() if name not in rows]
    text = [
        "# Benchmarks\n\n",
        (
            "Written by `python -m benchmarks` (from "
            f"`docs/evidence/{raw.name}`); do not edit. Run it again with "
            "`uv run --group bench python -m benchmarks`.\n\n"
        ),
        (
            "Rates on a shared machine vary several-fold within minutes, so only ratios count: "
            "each is taken inside one round, in which limit, diptych and peer run one after the "
            f"other, each in a process of its own. Medians of {settings['rounds']} rounds, with "
            "the lowest and the highest. A ratio says how many times as good as the other diptych "
            "is, also where the figure is a time.\n\n"
        ),
        table,
        f"\n![Ratios, with the aim and the floor](evidence/{picture.name})\n\n",
        *([write_growth(growth)] if growth else []),
        "## Notes\n\n",
        *notes,
        (
            "- Every SQLite connection that can write is asked for `synchronous` at the end of its "
            "measurement; a level below FULL makes the measurement fail. On PostgreSQL each open "
            "connection of asyncpg, and one of eventsourcing's pool, is asked in the same way for "
            "`fsync`, `full_page_writes` and `synchronous_commit`. The limits are the "
            "programs in `benchmarks/comparators`; a change to their work needs an ADR.\n"
        ),
        *(["- Not measured in this run: " + "; ".join(absent) + ".\n"] if absent else []),
        *(["\n## Failed measurements\n\n", *failed] if failed else []),
        "\n## Machine and settings\n\n",
        f"- commit {about['commit']}, started {about['started']} (UTC)\n",
        (
            f"- {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"{machine['system']}, {machine['file_system']}\n"
        ),
        f"- {versions}\n",
        *([_served(served)] if served else []),
        (
            f"- event loop {settings['loop']}, {settings['seconds']} s a measurement, "
            f"{settings['rounds']} rounds\n"
        ),
        *([f"- fdatasync of 8 KiB overwritten in place: {disk}/s over the rows\n"] if disk else []),
    ]
    (DOCS / "benchmarks.md").write_text("".join(text))
    return table


def _served(postgres: dict[str, Any]) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in postgres["settings"].items())
    return (
        f"- PostgreSQL {postgres['version']} on the same machine, one server for all variants, a "
        f"new database for each measurement, on {postgres['file_system']}: {settings}\n"
    )


def _bars(rows: dict[str, Row], results: Results) -> list[Bar]:
    """Each promise as a share of its aim: 1 is the aim, whatever the unit."""
    bars: list[Bar] = []
    for name, row in rows.items():
        for promise in row.promises:
            if promise.kind == "absolute":
                found = results.values(name, OURS)
                if found is None:
                    continue
                shares = [promise.aim / v for v in (found.high, found.middle, found.low)]
                floor = promise.aim / promise.floor
                label = f"{name}: {short(found.middle)}{row.unit}"
            else:
                ratio = results.ratio(name, promise.against, higher_is_better=row.higher_is_better)
                if ratio is None:
                    continue
                shares = [v / promise.aim for v in (ratio.low, ratio.middle, ratio.high)]
                floor = promise.floor / promise.aim
                label = f"{name} / {promise.against}: {short(ratio.middle)}x"
            bars.append(Bar(label, *shares, floor=floor))
    return bars
