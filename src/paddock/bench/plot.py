"""The roofline as a picture: what memory and arithmetic allow, and where each runtime stands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from paddock.bench.result import Result
from paddock.errors import BenchError

WIDTH, HEIGHT = 1120, 560
LEFT, RIGHT, TOP, BOTTOM = 78, 330, 64, 62
LEGEND = WIDTH - RIGHT + 28
# Okabe and Ito's colours, told apart by colour-blind eyes as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#000000", "#7A5195")
SHAPES = {"decode": "circle", "prefill": "square"}
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


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
        _text(LEFT, 26, "Roofline", size=18, weight=600),
        _text(LEFT, 46, title, size=13, colour="#555"),
    ]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' "
        f"width='{WIDTH}' height='{height}' role='img' {_FONT}>\n"
        f"<title>Roofline of {escape(title)}</title>\n"
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>\n" + "\n".join(body) + "\n</svg>\n"
    )


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
        yield _line(x, bottom, x, top, "#e4e4e4")
        yield _text(x, bottom + 20, _power(value), anchor="middle", colour="#555")
    for value in _powers(axes.y):
        (left, y), (right, _) = axes.at(axes.x[0], value), axes.at(axes.x[1], value)
        yield _line(left, y, right, y, "#e4e4e4")
        yield _text(left - 8, y + 4, _si(value), anchor="end", colour="#555")
    yield _text(
        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "operations per byte read", anchor="middle"
    )
    yield (
        f"<g transform='rotate(-90)'>"
        f"{_text(-(TOP + HEIGHT - BOTTOM) / 2, 18, 'operations per second', anchor='middle')}</g>"
    )


def _roofs(axes: Axes, memory: float, roofs: dict[str, float]) -> Iterable[str]:
    highest = max(roofs.values(), default=axes.y[1])
    start = max(axes.x[0], axes.y[0] / memory)
    end = min(axes.x[1], highest / memory)
    (x1, y1), (x2, y2) = axes.at(start, memory * start), axes.at(end, memory * end)
    yield _line(x1, y1, x2, y2, "#333", width=2)
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    share = 0.3
    x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
    label = f"memory: {memory / 1e9:.3g} GB/s read"
    yield (
        f"<g transform='translate({x:.1f} {y - 9:.1f}) rotate({angle:.2f})'>"
        f"{_text(0, 0, label, anchor='middle', colour='#333')}</g>"
    )
    for name, roof in roofs.items():
        (left, y), (right, _) = (
            axes.at(min(roof / memory, axes.x[1]), roof),
            axes.at(axes.x[1], roof),
        )
        yield _line(left, y, right, y, "#333", width=2)
        label = f"{name}: {_si(roof)}op/s"
        yield _text(right - 2, y - 7, label, anchor="end", colour="#333")


def _marks(axes: Axes, points: Sequence[Point]) -> Iterable[str]:
    """The points, and beside the picture what each colour is and how far it came."""
    runtimes = list(dict.fromkeys(point.runtime for point in points))
    y = TOP + 8.0
    for number, runtime in enumerate(runtimes):
        colour = COLOURS[number % len(COLOURS)]
        yield _text(LEGEND, y, runtime, colour=colour, weight=600)
        for point in points:
            if point.runtime != runtime:
                continue
            y += 18
            shape = SHAPES.get(point.figure, "circle")
            yield _mark(LEGEND + 6, y - 4, shape, colour, point.text)
            yield _text(LEGEND + 18, y, point.text, colour="#444")
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


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    anchor: str = "start",
    colour: str = "#222",
    weight: int = 400,
) -> str:
    # A white rim keeps words readable where lines cross them.
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' "
        f"font-weight='{weight}' fill='{colour}' stroke='white' stroke-width='3' "
        f"paint-order='stroke'>{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
        f"stroke='{colour}' stroke-width='{width}'/>"
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
