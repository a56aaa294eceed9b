"""A saved result reads back as it was, and a damaged one does not read at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchkit import SHAPE

from paddock.bench import report, result
from paddock.bench.result import Figure, Measured, Ratio, Result, Run
from paddock.bench.summary import Summary
from paddock.bench.workload import Workload
from paddock.errors import BenchError, UsageError


def example() -> Result:
    ceilings = Measured(
        "fake", 2, Summary.of([1e9, 2e9]), {"int8": Summary.of([1e10])}, {"int8": "vpdpbusd"}
    )
    figures = {
        "ttft": Figure("s", Summary.of([0.5, 0.25])),
        "decode": Figure(
            "tokens/s", Summary.of([10, 12, 11]), Summary.of([0.9, 0.95]), 1e8, 3e8,
            Summary.of([0.1, 0.2]),
        ),
    }  # fmt: skip
    runs = [
        Run("paddock", version="1", workload=Workload(100).to_dict(), figures=figures),
        Run("other", "absent", note="pip install other"),
    ]
    return result.new(
        "peers",
        runs,
        host={"cpu": "a CPU", "cores": 2, "load_average": 0.1},
        model={"name": "demo", "config": SHAPE.to_dict()},
        ceilings=ceilings,
        ratios=[Ratio("decode", "paddock", "other", Summary.of([2, 3]))],
    )


def test_round_trip(tmp_path: Path) -> None:
    one = example()
    path = tmp_path / "new" / "result.json"
    result.save(one, path)
    assert result.read(path) == replace(one, host=one.host)
    assert json.loads(path.read_text())["schema"] == result.SCHEMA


def _no(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda value: value.pop(key)


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another schema": (lambda v: v.update(schema="paddock-bench/0"), "no result of schema"),
    "no schema": (_no("schema"), "no result of schema"),
    "another kind": (lambda v: v.update(kind="speed"), "kind is 'speed'"),
    "no host": (_no("host"), r"lacks the fields \['host'\]"),
    "a field more": (lambda v: v.update(verdict="good"), r"\['verdict'\]"),
    "a run's state": (lambda v: v["runs"][0].update(state="fine"), "state is 'fine'"),
    "a run's field": (lambda v: v["runs"][0].pop("workload"), r"\['workload'\]"),
    "host is a text": (lambda v: v.update(host="x"), "host is 'x'"),
    "a better median": (
        lambda v: v["runs"][0]["figures"]["decode"]["values"].update(median=99),
        "median is 99",
    ),
    "no samples": (
        lambda v: v["runs"][0]["figures"]["decode"]["values"].update(samples=[]),
        "no samples",
    ),
    "a figure's field": (lambda v: v["runs"][0]["figures"]["decode"].pop("share"), "damaged"),
    "a workload's field": (lambda v: v["runs"][0]["workload"].update(heat=1), "damaged"),
    "a workload": (lambda v: v["runs"][0]["workload"].update(batch=0), "batch is 0"),
    "runs is a number": (lambda v: v.update(runs=3), "damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_results_are_refused(tmp_path: Path, name: str) -> None:
    damage, wanted = DAMAGE[name]
    value = example().to_dict()
    damage(value)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(value))
    with pytest.raises(BenchError, match=wanted) as caught:
        result.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("text", "wanted"), [("{", "not JSON"), ("[]", "'list'")])
def test_other_files_are_refused(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=wanted):
        result.read(path)
    with pytest.raises(BenchError, match="No such file"):
        result.read(tmp_path / "none.json")


def test_the_schema_is_documented() -> None:
    """Every field of every object is named in the guide."""
    guide = Path(__file__).parents[3] / "docs" / "guides" / "bench.md"
    text = guide.read_text(encoding="utf-8")
    assert result.SCHEMA in text
    for kind in (Result, Run, Figure, Ratio, Measured, Summary):
        for name in kind.__slots__:
            assert f"`{name}`" in text, f"{kind.__name__}.{name}"


def test_tables_say_what_was_measured_and_what_was_not() -> None:
    text = report.markdown(example())
    assert "| paddock | decode | tokens/s | 11 | 10 | 10.5 | 11.5 | 12 | 92.5% |" in text
    assert "| paddock | time to first token | ms | 375 |" in text
    assert "| decode | paddock | other | 2.50 | 2.00 | 3.00 |" in text
    assert "| other | absent | pip install other |" in text
    assert "1.5 GB/s read, 10 Gop/s int8 (vpdpbusd), 2 threads" in text


def test_comparison_says_what_is_doubtful() -> None:
    a = example()
    quicker = replace(
        a.runs[0], figures={"decode": Figure("tokens/s", Summary.of([20, 22, 21]))},
        workload=Workload(99).to_dict(),
    )  # fmt: skip
    b = replace(a, runs=(quicker,), host=a.host | {"cpu": "another"})
    tables, doubts = report.compare(a, b)
    assert tables[0].rows == (
        ("paddock", "decode", "11 tokens/s", "21 tokens/s", "1.909", "quartiles apart"),
    )
    assert doubts == ["cpu differs: a CPU and another", "paddock was given another workload"]
    with pytest.raises(UsageError, match="no figure in common"):
        report.compare(a, replace(a, runs=()))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (63.2e9, "bytes/s", "63.2 GB/s"),
        (1.31e12, "op/s", "1.31 Top/s"),
        (999, "bytes", "999 B"),
        (0.0123, "s", "12.3 ms"),
        (2.5, "s", "2.5 s"),
        (0.912, "share", "91.2 %"),
        (8.765, "tokens/s", "8.765 tokens/s"),
    ],
)
def test_amounts(value: float, unit: str, text: str) -> None:
    assert report.amount(value, unit) == text
