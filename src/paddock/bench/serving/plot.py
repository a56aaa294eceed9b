"""A server's times as a picture: how many answers were at least as quick, for each kind of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paddock.bench.result import Result, Run
from paddock.bench.serving.report import TITLES, load_of
from paddock.bench.svg import COLOURS, line, picture, text
from paddock.bench.table import amount
from paddock.errors import BenchError

WIDTH, HEIGHT = 1120, 560
LEFT, RIGHT, TOP, BOTTOM = 78, 330, 86, 62
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_CURVES = ("ttft", "tpot", "e2e")


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds, logarithmic, from ``low`` to ``high``."""

    low: float
    high: float

    def at(self, seconds: float) -> float:
        """The place of a time."""
        share = math.log(seconds / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def plot(results: Sequence[Result]) -> str:
    """An SVG with the distributions of all results, those of one in a stroke of their own.

    Raises BenchError where no server was measured.
    """
    runs = [run for result in results for run in result.runs if run.served is not None]
    if not runs:
        raise BenchError("no result of a server to draw")
    samples = [
        value for run in runs for name in _CURVES if name in run.figures
        for value in run.figures[name].values.samples if value > 0
    ]  # fmt: skip
    # The nearest 1, 2 or 5 times a power of ten outside of all samples.
    axis = Axis(_step(min(samples) * 0.9, up=False), _step(max(samples) * 1.1, up=True))
    body = [
        text(LEFT, 26, "Times of answers", size=18, weight=600),
        *_grid(axis),
    ]
    for number, run in enumerate(runs):
        body.append(text(LEFT, 46 + 16 * number, _about(run), size=13, colour="#555"))
        body += _curves(axis, run, number)
    height = max(HEIGHT, TOP + len(runs) * (len(_CURVES) + 2) * 36)
    return picture(WIDTH, height, f"Times of answers of {runs[0].runtime}", body)


def _about(run: Run) -> str:
    return f"{run.options['url']}, {run.runtime}: {load_of(run)}"


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _grid(axis: Axis) -> Iterable[str]:
    for value in _ticks(axis):
        x = axis.at(value)
        yield line(x, _y(0), x, _y(1), "#e4e4e4")
        yield text(x, _y(0) + 20, amount(value, "s"), anchor="middle", colour="#555")
    for percent in (0, 25, 50, 75, 90, 99):
        y = _y(percent / 100)
        yield line(LEFT, y, WIDTH - RIGHT, y, "#e4e4e4")
        yield text(LEFT - 8, y + 4, f"{percent} %", anchor="end", colour="#555")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "seconds, at most", anchor="middle")
    middle = -(TOP + HEIGHT - BOTTOM) / 2
    yield f"<g transform='rotate(-90)'>{text(middle, 18, 'answers', anchor='middle')}</g>"


def _curves(axis: Axis, run: Run, number: int) -> Iterable[str]:
    """A curve for each kind of time, and beside the picture its percentiles."""
    assert run.served is not None
    x, y = WIDTH - RIGHT + 28, TOP + number * (len(_CURVES) + 2) * 36 + 8.0
    yield text(x, y, run.runtime, weight=600)
    for place, name in enumerate(_CURVES):
        if name not in run.figures:
            continue
        colour, dash = COLOURS[place], _DASHES[number % len(_DASHES)]
        style = f"fill='none' stroke='{colour}' stroke-width='2.5' stroke-dasharray='{dash}'"
        ordered = sorted(value for value in run.figures[name].values.samples if value > 0)
        points = [(axis.at(value), _y((i + 1) / len(ordered))) for i, value in enumerate(ordered)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in [(points[0][0], _y(0)), *points])
        yield f"<polyline points='{path}' {style}><title>{TITLES[name]}</title></polyline>"
        y += 36
        told = run.served.percentiles[name]
        yield f"<polyline points='{x},{y - 4} {x + 28},{y - 4}' {style}/>"
        yield text(x + 36, y, TITLES[name], colour=colour, weight=600)
        half, most = amount(told["p50"], "s"), amount(told["p99"], "s")
        yield text(x + 36, y + 16, f"half within {half}, 99 % within {most}", colour="#444")


def _ticks(axis: Axis) -> Iterable[float]:
    value = axis.low
    while value <= axis.high * 1.0001:
        yield value
        value = _step(value * 1.5, up=True)


def _step(value: float, *, up: bool) -> float:
    """The nearest of 1, 2 and 5 times a power of ten above or below."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = [power * factor for factor in (1, 2, 5, 10)]
    if up:
        return next(step for step in steps if step >= value * 0.9999)
    return max(step for step in steps if step <= value * 1.0001)
