# SPDX-License-Identifier: MIT
"""Small plots as SVG text: a run's timeline, a measurement's values."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 960
LABEL = 190
LANE = 22


@dataclass(frozen=True)
class Bar:
    """A stretch of a lane, in seconds; `kind` is its CSS class."""

    start: float
    stop: float
    kind: str
    title: str


@dataclass(frozen=True)
class Lane:
    """A named line of the timeline."""

    name: str
    bars: list[Bar]


def timeline(lanes: Sequence[Lane], end: float) -> str:
    """Return lanes over a common time axis that begins at 0."""
    end = max(end, 1.0)
    scale = (WIDTH - LABEL - 10) / end
    height = LANE * len(lanes) + 26
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img">']
    for second in ticks(end):
        x = LABEL + second * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 20}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">'
            f"{second:g} s</text>"
        )
    for row, lane in enumerate(lanes):
        y = row * LANE
        parts.append(
            f'<text class="lane" x="{LABEL - 8}" y="{y + 15}" text-anchor="end">'
            f"{escape(_short(lane.name))}</text>"
        )
        for bar in lane.bars:
            x, width = LABEL + bar.start * scale, max((bar.stop - bar.start) * scale, 1.5)
            parts.append(
                f'<rect class="bar {bar.kind}" x="{x:.1f}" y="{y + 4}" width="{width:.1f}" '
                f'height="{LANE - 8}" rx="2"><title>{escape(bar.title)}</title></rect>'
            )
    return "".join([*parts, "</svg>"])


def values(numbers: Sequence[float], unit: str, labels: Sequence[str] | None = None) -> str:
    """Return a series as points joined by a line, its scale from zero."""
    width, height, left, bottom = 460, 150, 64, 22
    top = max(*numbers, 0.0) or 1.0
    step = (width - left - 14) / max(len(numbers) - 1, 1)
    parts = [f'<svg class="plot small" viewBox="0 0 {width} {height}" role="img">']
    for level in ticks(top, 4):
        y = height - bottom - level / top * (height - bottom - 12)
        parts.append(f'<line class="grid" x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>'
        )
    points = [
        (left + 6 + n * step, height - bottom - v / top * (height - bottom - 12))
        for n, v in enumerate(numbers)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts.append(f'<polyline class="series" points="{path}"/>')
    for number, (x, y) in enumerate(points):
        label = f"{labels[number]}: " if labels else ""
        parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3">'
            f"<title>{escape(label)}{numbers[number]:g} {escape(unit)}</title></circle>"
        )
    parts.append(f'<text class="tick" x="{left}" y="{height - 4}">{escape(unit)}</text>')
    return "".join([*parts, "</svg>"])


def ticks(end: float, most: int = 9) -> list[float]:
    """Return round numbers from 0 to `end`."""
    step = 10.0 ** (len(str(int(end))) - 1) if end >= 1 else 10.0 ** _decade(end)
    while end / step > most:
        step *= 2 if end / step <= 2 * most else 5
    while end / step < most / 3:
        step /= 2
    return [number * step for number in range(int(end / step) + 1)]


def _decade(value: float) -> int:
    power = 0
    while value and value * 10**-power < 1:
        power -= 1
    return power


def _short(name: str) -> str:
    return name if len(name) <= 27 else f"{name[:13]}…{name[-13:]}"
