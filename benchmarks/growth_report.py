"""The growth section of docs/benchmarks.md and its plot, from the raw results of one run."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

BASE = 10_000
"""Events of the log that the others are compared with."""

LEAST = 0.8
"""Of the throughput there."""

Series = Mapping[tuple[str, str], Mapping[int, Mapping[int, float]]]
"""By store and work, then events, then round."""


@dataclass(frozen=True)
class _Results:
    """Of one run.

    Attributes:
        rates: Commands per second.
        spent: Microseconds of the app's process for a command: it says more on a busy machine.
    """

    about: dict[str, Any]
    rates: Series
    spent: Series
    fills: list[dict[str, Any]]
    errors: list[str]


_COLOURS = {"SQLite": "#2a7f62", "PostgreSQL": "#336791"}


def write_growth(raw: Path) -> str:
    """Writes the plot beside the raw results; returns the section."""
    results = _read(raw)
    about = results.about
    picture = raw.with_suffix(".svg")
    picture.write_text(_svg(_shares(results.rates)))
    lines = [
        "## Throughput as the log grows\n\n",
        (
            f"From `docs/evidence/{raw.name}` (commit {about['commit']}); run it again with "
            "`python -m benchmarks growth`, which takes long and some 12 GB of disk. Decide and "
            "append, 64 callers. Warm: on 1000 streams that lie anywhere in the log, in no "
            "order, their states cached; cold: on any stream of the log, and each command reads "
            "its own ten events. "
            f"The ratio to {BASE:,d} events is taken within each of {about['settings']['rounds']} "
            f"rounds; it must be {LEAST} at least.\n\n"
        ),
        (
            "| Store | Work | Events | Ours | CPU of the app | Ratio [min, max] | Verdict |\n"
            "|---|---|---|---|---|---|---|\n"
        ),
    ]
    for (store, work), by_size in results.rates.items():
        for events, rounds in sorted(by_size.items()):
            spent = f"{median(results.spent[store, work][events].values()):,.0f} us"
            rate = f"{median(rounds.values()):,.0f}/s"
            shares = [rounds[r] / by_size[BASE][r] for r in rounds if r in by_size.get(BASE, {})]
            told, ratio = "", ""
            if events != BASE and shares:
                middle = median(shares)
                told = "reached" if middle >= LEAST else "**below**"
                ratio = f"{middle:.2f} [{min(shares):.2f}, {max(shares):.2f}]"
            lines.append(
                f"| {store} | {work} | {events:,d} | {rate} | {spent} | {ratio} | {told} |\n"
            )
    lines.append(f"\n![Throughput as the log grows](evidence/{picture.name})\n\n")
    lines += [
        f"- {fill['store']}: {fill['events']:,d} events with their outcomes, written by SQL in "
        f"{fill['seconds']:,.0f} s, take {fill['bytes'] / 2**20:,.0f} MiB\n"
        for fill in results.fills
    ]
    lines += [f"- failed: {error}\n" for error in results.errors]
    return "".join([*lines, "\n"])


def newest(folder: Path) -> Path | None:
    """The last run that was kept."""
    return max(folder.glob("growth-*.jsonl"), default=None)


def _read(raw: Path) -> _Results:
    rates, spent = _series(), _series()
    results = _Results({}, rates, spent, [], [])
    for text in raw.read_text().splitlines():
        line = json.loads(text)
        if line["kind"] == "run":
            results.about.update(line)
        elif line["kind"] == "fill":
            results.fills.append(line)
        elif "error" in line:
            results.errors.append(f"{line['store']}, {line['work']}: {line['error']}")
        else:
            key = line["store"], line["work"]
            rates[key][line["events"]][line["round"]] = line["value"]
            spent[key][line["events"]][line["round"]] = line["cpu_us"]
    return results


def _series() -> dict[tuple[str, str], dict[int, dict[int, float]]]:
    return defaultdict(lambda: defaultdict(dict))


def _shares(series: Series) -> dict[tuple[str, str], dict[int, float]]:
    found: dict[tuple[str, str], dict[int, float]] = {}
    for key, by_size in series.items():
        base = by_size.get(BASE)
        if base:
            found[key] = {
                events: median(rounds[r] / base[r] for r in rounds if r in base)
                for events, rounds in by_size.items()
                if rounds.keys() & base.keys()
            }
    return found


_LEFT, _TOP, _WIDTH, _HEIGHT, _MOST = 60, 44, 480, 260, 1.3


def _svg(shares: Mapping[tuple[str, str], Mapping[int, float]]) -> str:
    """One line for each store and work: the share of the throughput at `BASE`, by log of events."""
    sizes = sorted({events for line in shares.values() for events in line}) or [BASE]
    decades = max(math.log10(sizes[-1] / BASE), 1e-9)

    def x(events: int) -> float:
        return round(_LEFT + math.log10(events / BASE) / decades * _WIDTH, 1)

    def y(share: float) -> float:
        return round(_TOP + _HEIGHT * (1 - min(share, _MOST) / _MOST), 1)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 150}" '
            f'height="{_TOP + _HEIGHT + 50}" font-family="sans-serif" font-size="12">\n'
        ),
        '<rect width="100%" height="100%" fill="white"/>\n',
        (
            '<text x="10" y="18" font-weight="bold">Throughput as the log grows '
            f"(share of that at {BASE:,d} events; red: the least)</text>\n"
        ),
    ]
    for share, colour in ((0.0, "black"), (LEAST, "#b3261e"), (1.0, "#999999")):
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y(share)}" y2="{y(share)}" '
            f'stroke="{colour}"/>\n<text x="{_LEFT - 6}" y="{y(share) + 4}" '
            f'text-anchor="end">{share:g}</text>\n'
        )
    parts += [
        f'<text x="{x(events)}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{events:,d}</text>\n'
        for events in sizes
    ]
    for place, (key, line) in enumerate(shares.items()):
        parts += _line(key, [(x(events), y(line[events])) for events in sorted(line)], place)
    return "".join([*parts, "</svg>\n"])


def _line(key: tuple[str, str], points: Sequence[tuple[float, float]], place: int) -> list[str]:
    store, work = key
    dash = "" if work == "warm" else ' stroke-dasharray="5 4"'
    style = f'stroke="{_COLOURS.get(store, "black")}" stroke-width="2"{dash}'
    path = " ".join(f"{x},{y}" for x, y in points)
    legend, left = _TOP + 16 * place, _LEFT + _WIDTH + 12
    return [
        f'<polyline points="{path}" fill="none" {style}/>\n',
        *(f'<circle cx="{x}" cy="{y}" r="3" fill="{_COLOURS.get(store)}"/>\n' for x, y in points),
        f'<line x1="{left}" x2="{left + 24}" y1="{legend}" y2="{legend}" {style}/>\n',
        f'<text x="{left + 30}" y="{legend + 4}">{store}, {work}</text>\n',
    ]
