"""A small SVG bar chart: how far each promise is reached, with min, max, aim and floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _WIDTH, _LINE, _TOP, _MOST = 250, 480, 26, 44, 2.0


@dataclass(frozen=True)
class Bar:
    """Shares of the aim: 1 reaches it; beyond `_MOST` the bar is cut."""

    label: str
    low: float
    middle: float
    high: float
    floor: float


def _x(share: float) -> float:
    return round(_LEFT + min(share, _MOST) / _MOST * _WIDTH, 1)


def svg(bars: Sequence[Bar]) -> str:
    height = _TOP + _LINE * len(bars) + 20
    aim = _x(1)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 40}" '
            f'height="{height}" font-family="sans-serif" font-size="12">\n'
        ),
        '<rect width="100%" height="100%" fill="white"/>\n',
        (
            '<text x="10" y="18" font-weight="bold">How far each aim is reached '
            "(median, line from min to max; red: the floor)</text>\n"
        ),
        f'<text x="{aim}" y="36" text-anchor="middle">aim</text>\n',
        f'<text x="{_x(_MOST)}" y="36" text-anchor="end">2 x aim or more</text>\n',
    ]
    for place, bar in enumerate(bars):
        y = _TOP + place * _LINE
        colour = (
            "#2a7f62" if bar.middle >= 1 else "#c98a1b" if bar.middle >= bar.floor else "#b3261e"
        )
        width = round(_x(bar.middle) - _LEFT, 1)
        middle = y + _LINE / 2 - 3
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>\n',
            f'<rect x="{_LEFT}" y="{y + 2}" width="{width}" height="16" fill="{colour}"/>\n',
            (
                f'<line x1="{_x(bar.low)}" x2="{_x(bar.high)}" y1="{middle}" y2="{middle}" '
                'stroke="black"/>\n'
            ),
            (
                f'<line x1="{_x(bar.floor)}" x2="{_x(bar.floor)}" y1="{y}" y2="{y + 20}" '
                'stroke="#b3261e" stroke-width="2"/>\n'
            ),
        ]
    parts.append(
        f'<line x1="{aim}" x2="{aim}" y1="{_TOP - 4}" y2="{height - 16}" stroke="black" '
        'stroke-dasharray="4 3"/>\n'
    )
    return "".join([*parts, "</svg>\n"])
