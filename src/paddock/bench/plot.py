"""The roofline as a picture: what memory and arithmetic allow, and where each runtime stands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from paddock.bench.result import Result
from paddock.bench.svg import COLOURS, line, picture, text
from paddock.errors import BenchError

WIDTH, HEIGHT = 1120, 560
LEFT, RIGHT, TOP, BOTTOM = 78, 330, 64, 62
LEGEND = WIDTH - RIGHT + 28
SHAPES = {"decode": "circle", "prefill": "square"}


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of a run: operations per byte, operations a second reached."""

    runtime: str
    figure: str
    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Axes:
    """Logarithmic axes over whole powers of ten in y and given limits in x."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a value in the picture."""
        return (
            LEFT + _share(x, self.x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - _share(y, self.y) * (HEIGHT - TOP - BOTTOM),
        )


def plot(results: Sequence[Result]) -> str:
    """An SVG with the ceilings of the first result and the points of all.

    Raises BenchError where there are no ceilings.
    """
    ceilings = next((r.ceilings for r in results if r.ceilings), None)
    if ceilings is None:
        raise BenchError("the result has no ceilings to draw")
    memory = ceilings.bytes_per_s.median
    roofs = {
        f"{kind} products ({ceilings.instructions.get(kind)})": value.median
        for kind, value in ceilings.operations_per_s.items()
    }
    points = _points(results)
    axes = _axes(points, memory, list(roofs.values()))
    host = results[0].host
    title = f"{host.get('cpu')}, {ceilings.threads} threads"
    height = max(HEIGHT, TOP + sum(26 + 18 * n for n in _lines(points).values()) + 10)
    body = [
        *_grid(axes),
        *_roofs(axes, memory, roofs),
        *_marks(axes, points),
        text(LEFT, 26, "Roofline", size=18, weight=600),
        text(LEFT, 46, title, size=13, colour="#555"),
    ]
    return picture(WIDTH, height, f"Roofline of {title}", body)


def _points(results: Sequence[Result]) -> list[Point]:
    found = []
    for result in results:
        for run in result.runs:
            for name, figure in run.figures.items():
                if figure.operations and figure.bytes and figure.seconds:
                    share = f", {figure.share.median:.1%}" if figure.share else ""
                    found.append(
                        Point(
                            run.runtime,
                            name,
                            figure.operations / figure.bytes,
                            figure.operations / figure.seconds.median,
                            f"{name} {figure.values.median:.4g} tokens/s{share}",
                        )
                    )
    return found


def _lines(points: Sequence[Point]) -> Counter[str]:
    return Counter(point.runtime for point in points)


def _axes(points: Sequence[Point], memory: float, roofs: Sequence[float]) -> Axes:
    ridge = max((roof / memory for roof in roofs), default=1.0)
    xs = [point.x for point in points] or [1.0]
    ys = [*(point.y for point in points), *roofs]
    x = (min(*xs, ridge) / 3, max(*xs, ridge) * 6)
    low = min([*ys, memory * x[0] * 3])
    return Axes(x, (10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(max(ys) * 1.2))))


def _grid(axes: Axes) -> Iterable[str]:
    for value in _powers(axes.x):
        (x, bottom), (_, top) = axes.at(value, axes.y[0]), axes.at(value, axes.y[1])
        yield line(x, bottom, x, top, "#e4e4e4")
        yield text(x, bottom + 20, _power(value), anchor="middle", colour="#555")
    for value in _powers(axes.y):
        (left, y), (right, _) = axes.at(axes.x[0], value), axes.at(axes.x[1], value)
        yield line(left, y, right, y, "#e4e4e4")
        yield text(left - 8, y + 4, _si(value), anchor="end", colour="#555")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "operations per byte read", anchor="middle")
    yield (
        f"<g transform='rotate(-90)'>"
        f"{text(-(TOP + HEIGHT - BOTTOM) / 2, 18, 'operations per second', anchor='middle')}</g>"
    )


def _roofs(axes: Axes, memory: float, roofs: dict[str, float]) -> Iterable[str]:
    highest = max(roofs.values(), default=axes.y[1])
    start = max(axes.x[0], axes.y[0] / memory)
    end = min(axes.x[1], highest / memory)
    (x1, y1), (x2, y2) = axes.at(start, memory * start), axes.at(end, memory * end)
    yield line(x1, y1, x2, y2, "#333", width=2)
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    share = 0.3
    x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
    label = f"memory: {memory / 1e9:.3g} GB/s read"
    yield (
        f"<g transform='translate({x:.1f} {y - 9:.1f}) rotate({angle:.2f})'>"
        f"{text(0, 0, label, anchor='middle', colour='#333')}</g>"
    )
    for name, roof in roofs.items():
        (left, y), (right, _) = (
            axes.at(min(roof / memory, axes.x[1]), roof),
            axes.at(axes.x[1], roof),
        )
        yield line(left, y, right, y, "#333", width=2)
        label = f"{name}: {_si(roof)}op/s"
        yield text(right - 2, y - 7, label, anchor="end", colour="#333")


def _marks(axes: Axes, points: Sequence[Point]) -> Iterable[str]:
    """The points, and beside the picture what each colour is and how far it came."""
    runtimes = list(dict.fromkeys(point.runtime for point in points))
    y = TOP + 8.0
    for number, runtime in enumerate(runtimes):
        colour = COLOURS[number % len(COLOURS)]
        yield text(LEGEND, y, runtime, colour=colour, weight=600)
        for point in points:
            if point.runtime != runtime:
                continue
            y += 18
            shape = SHAPES.get(point.figure, "circle")
            yield _mark(LEGEND + 6, y - 4, shape, colour, point.text)
            yield text(LEGEND + 18, y, point.text, colour="#444")
            yield _mark(*axes.at(point.x, point.y), shape, colour, f"{runtime}, {point.text}")
        y += 26


def _mark(x: float, y: float, shape: str, colour: str, title: str) -> str:
    style = f"fill='{colour}' stroke='white' stroke-width='1.5'"
    if shape == "square":
        body = f"<rect x='{x - 6:.1f}' y='{y - 6:.1f}' width='12' height='12' {style}>"
        return f"{body}<title>{escape(title)}</title></rect>"
    return (
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='6.5' {style}><title>{escape(title)}</title></circle>"
    )


def _share(value: float, limits: tuple[float, float]) -> float:
    low, high = map(math.log10, limits)
    return (math.log10(value) - low) / (high - low)


def _powers(limits: tuple[float, float]) -> Iterable[float]:
    first, last = math.ceil(math.log10(limits[0])), math.floor(math.log10(limits[1]))
    return (10.0**exponent for exponent in range(first, last + 1))


def _power(value: float) -> str:
    return f"{value:g}"


def _si(value: float) -> str:
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "
