"""How ``paddock bench`` shows what was measured: tables, a saved file, a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paddock.cli import render

if TYPE_CHECKING:
    from paddock.bench.result import Result
    from paddock.bench.table import Table


def show(
    found: Result,
    out: Path | None,
    plot: Path | None,
    json: bool,
    others: list[Result] | None = None,
) -> None:
    """Saves to ``out``, draws to ``plot`` with ``others`` and prints, as asked."""
    from paddock.bench import report, result

    if out is not None:
        result.save(found, out)
        render.line(f"saved {out}")
    draw([found, *(others or [])], plot)
    if json:
        render.emit(found.to_dict())
    else:
        tables(report.tables(found), markdown=False)


def draw(results: list[Result], file: Path | None) -> None:
    """Writes the picture that the first result's kind has."""
    if file is None:
        return
    if results[0].kind == "serve":
        from paddock.bench.serving.plot import plot
    else:
        from paddock.bench.plot import plot
    file.write_text(plot(results), encoding="utf-8")
    render.line(f"drew {file}")


def tables(made: list[Table], markdown: bool) -> None:
    """Prints tables, for a terminal or as Markdown."""
    for number, table in enumerate(made):
        if markdown:
            render.text(table.markdown() + "\n")
            continue
        if number:
            render.text("\n")
        render.table(table.header, table.rows, table.right)
