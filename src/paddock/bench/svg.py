"""Words and lines of a picture: what the plots of results have in common."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

# Okabe and Ito's colours, told apart by colour-blind eyes as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#000000", "#7A5195")
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


def picture(width: float, height: float, title: str, body: Iterable[str]) -> str:
    """A whole SVG on white."""
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}' role='img' {_FONT}>\n"
        f"<title>{escape(title)}</title>\n"
        f"<rect width='{width}' height='{height}' fill='white'/>\n" + "\n".join(body) + "\n</svg>\n"
    )


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    anchor: str = "start",
    colour: str = "#222",
    weight: int = 400,
) -> str:
    """Words at a place; ``anchor`` says which of their ends is there."""
    # A white rim keeps words readable where lines cross them.
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' "
        f"font-weight='{weight}' fill='{colour}' stroke='white' stroke-width='3' "
        f"paint-order='stroke'>{escape(words)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    """A straight line."""
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
        f"stroke='{colour}' stroke-width='{width}'/>"
    )
