"""Results as tables, for a terminal and for Markdown pages; two results side by side."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.bench.result import Figure, Result, Run
from paddock.bench.serving import report as serving
from paddock.bench.summary import Summary
from paddock.bench.table import Table, amount, scale
from paddock.errors import UsageError

_TITLES = {
    "ttft": "time to first token",
    "first_token": "start to first token",
    "process": "start to end",
    "peak_rss": "most memory resident",
    "page_cache": "files in the page cache",
    "load": "loading a part",
    "load_cpu": "loading a part, processor time",
    "weights": "weights and tables",
    "peak": "most memory while loading, more than before",
}


def tables(result: Result) -> list[Table]:
    """What a person wants to see of a result: conditions, figures, ratios."""
    if result.kind == "serve":
        return serving.tables(result)
    found = [_conditions(result)]
    rows = [row for run in result.runs for row in _rows(run)]
    if rows:
        header = ("RUNTIME", "FIGURE", "UNIT", "MEDIAN", "MIN", "Q1", "Q3", "MAX", "OF THE CEILING")
        found.append(Table("figures", header, tuple(rows), tuple(range(3, 9))))
    if result.ratios:
        found.append(
            Table(
                "ratios, round by round",
                ("FIGURE", "OURS", "OVER", "MEDIAN", "MIN", "MAX"),
                tuple(
                    (
                        ratio.figure,
                        ratio.ours,
                        ratio.theirs,
                        *(f"{x:.2f}" for x in _spread(ratio.values)),
                    )
                    for ratio in result.ratios
                ),
                (3, 4, 5),
            )
        )
    others = [run for run in result.runs if run.state != "ok"]
    if others:
        rows = [(run.runtime, run.state, run.note or "") for run in others]
        found.append(Table("not measured", ("RUNTIME", "STATE", "WHY"), tuple(rows)))
    return found


def markdown(result: Result) -> str:
    """All tables, for docs/performance.md."""
    return "\n".join(table.markdown() for table in tables(result))


def compare(a: Result, b: Result) -> tuple[list[Table], list[str]]:
    """Figures that both results have, b over a, and what makes the comparison doubtful.

    Raises UsageError if they have none in common.
    """
    rows = []
    for run in a.runs:
        other = b.run(run.runtime)
        for name, figure in run.figures.items():
            if other is not None and name in other.figures:
                rows.append(_compared(run.runtime, name, figure, other.figures[name]))
    if not rows:
        raise UsageError("the two results have no figure in common")
    header = ("RUNTIME", "FIGURE", "A", "B", "B/A", "SPREAD")
    return [Table("B over A", header, tuple(rows), (2, 3, 4))], _doubts(a, b)


def _compared(runtime: str, name: str, a: Figure, b: Figure) -> tuple[str, ...]:
    (low_a, high_a), (low_b, high_b) = a.values.quartiles, b.values.quartiles
    apart = high_a < low_b or high_b < low_a
    ratio = b.values.median / a.values.median if a.values.median else float("nan")
    return (
        runtime,
        _title(name),
        amount(a.values.median, a.unit),
        amount(b.values.median, b.unit),
        f"{ratio:.3f}",
        "quartiles apart" if apart else "quartiles overlap",
    )


def _doubts(a: Result, b: Result) -> list[str]:
    found = []
    for key in ("cpu", "cores", "memory_bytes", "kernel", "governor"):
        if a.host.get(key) != b.host.get(key):
            found.append(f"{key} differs: {a.host.get(key)} and {b.host.get(key)}")
    for run in a.runs:
        other = b.run(run.runtime)
        if other is not None and other.workload != run.workload:
            found.append(f"{run.runtime} was given another workload")
    if a.ceilings and b.ceilings:
        ratio = b.ceilings.bytes_per_s.median / a.ceilings.bytes_per_s.median
        if not 0.95 < ratio < 1.05:
            found.append(f"the machine itself read memory at {ratio:.2f} times the speed")
    return found


def _conditions(result: Result) -> Table:
    host, rows = result.host, []
    rows.append(("kind", result.kind))
    if result.model:
        rows.append(("model", str(result.model.get("name"))))
        huge = result.model.get("in_huge_pages")
        if huge is not None:
            rows.append(("weights in huge pages", f"{huge:.0%}"))
    workloads = [run.workload for run in result.runs if run.workload]
    if workloads:
        names = ("prompt_tokens", "new_tokens", "batch", "repeats", "seed", "busy")
        same = [name for name in names if len({workload[name] for workload in workloads}) == 1]
        rows.append(("workload", ", ".join(f"{name} {workloads[0][name]}" for name in same)))
    options = [run.options for run in result.runs]
    splits = {(one.get("tp", 1), one.get("pp", 1)) for one in options} - {(1, 1)}
    if splits:
        rows.append(("ranks", "; ".join(f"tp {tp}, pp {pp}" for tp, pp in sorted(splits))))
    rows.append(("cpu", f"{host.get('cpu')}, {host.get('cores')} cores"))
    rows.append(("load before", str(host.get("load_average"))))
    if result.ceilings:
        ceilings = result.ceilings
        rows.append(
            (
                "ceilings",
                f"{amount(ceilings.bytes_per_s.median, 'bytes/s')} read"
                + "".join(
                    f", {amount(value.median, 'op/s')} {kind} ({ceilings.instructions[kind]})"
                    for kind, value in ceilings.operations_per_s.items()
                )
                + f", {ceilings.threads} threads, {ceilings.method} test",
            )
        )
    rows.append(("commit", result.commit or "not in a checkout"))
    rows.append(("at", result.created))
    return Table("conditions", ("WHAT", "VALUE"), tuple(rows))


def _rows(run: Run) -> list[tuple[str, ...]]:
    rows = []
    for name, figure in run.figures.items():
        values = figure.values
        size, unit = scale(values.median, figure.unit)
        numbers = (values.median, values.min, *values.quartiles, values.max)
        share = f"{figure.share.median:.1%}" if figure.share else ""
        cells = (f"{value / size:.4g}" for value in numbers)
        rows.append((run.runtime, _title(name), unit, *cells, share))
    return rows


def _title(name: str) -> str:
    return _TITLES.get(name, name)


def _spread(values: Summary) -> Sequence[float]:
    return values.median, values.min, values.max
