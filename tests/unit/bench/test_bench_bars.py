"""The run of all promised figures: rows are kept, read back, and measured again if need be."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchkit import SHAPE

import bench_bars
from bench_bars import Bench, Verdict, decode_and_ratio, measure, ratio_to, table
from paddock.bench import result
from paddock.bench.result import Figure, Ratio, Result, Run
from paddock.bench.summary import Summary
from paddock.errors import BenchError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two rows instead of the real ones; the names of those that were measured."""
    made: list[str] = []

    def good(bench: Bench) -> Verdict:
        made.append("good")
        return Verdict("12 tokens/s", True)

    def failing(bench: Bench) -> Verdict:
        made.append("failing")
        raise BenchError("memory is short")

    rows = {"good": ("a figure", "a bar", good), "failing": ("another", "a bar", failing)}
    monkeypatch.setattr(bench_bars, "ROWS", rows)
    return made


def test_it_goes_on_where_it_stopped(calls: list[str], tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out", "tiny", None, 1, ())
    first = [measure(name, bench, False) for name in ("good", "failing")]
    again = [measure(name, bench, False) for name in ("good", "failing")]
    assert calls == ["good", "failing", "failing"], "only what failed is tried again"
    assert again[0] == first[0]
    measure("good", bench, True)
    measure("good", replace(bench, threads=2), False)
    assert calls[3:] == ["good", "good"], "asked for again; other conditions"


def test_table(calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["bench_bars.py", str(tmp_path), "--like", "tiny"])
    assert bench_bars.main() == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| a figure | a bar | 12 tokens/s | met |",
        "| another | a bar | not measured: memory is short | not measured |",
    ]
    assert table([]).count("\n") == 2


def compared(share: float, ratio: float) -> Result:
    def figure(speed: float, reached: float | None) -> dict[str, Figure]:
        one = Summary.of([reached]) if reached is not None else None
        return {"decode": Figure("tokens/s", Summary.of([speed]), one)}

    runs = [
        Run("paddock", figures=figure(16, share)),
        Run("llama-cpp-python (flash_attn=True)", figures=figure(10, None)),
    ]
    pair = Ratio("decode", runs[0].runtime, runs[1].runtime, Summary.of([ratio]))
    model = {"config": SHAPE.to_dict()}
    return result.new("peers", runs, host={}, model=model, ratios=[pair])


@pytest.mark.parametrize(
    ("share", "ratio", "met"),
    [(0.9, 1.6, True), (0.89, 1.6, False), (0.95, 1.59, False), (0.95, 1.7, True)],
)
def test_both_conditions_must_hold(
    share: float, ratio: float, met: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compared(share, ratio)
    monkeypatch.setattr(bench_bars.run, "speed", lambda kind, options: found)
    monkeypatch.setattr(bench_bars, "peers", lambda *given: found)
    monkeypatch.setattr(Bench, "options", lambda self, quant="int4", **work: None)
    verdict = decode_and_ratio(Bench(tmp_path, "tiny", None, 1, ()), "int4", 0.90, 1.6)
    assert verdict.met is met
    assert f"{share:.3f} of the bound" in verdict.measured
    assert f"{ratio:.2f} x llama-cpp-python" in verdict.measured


def test_what_was_not_measured_is_not_met() -> None:
    found = compared(0.95, 2.0)
    absent = replace(found, ratios=(), runs=(found.runs[0], Run("xllamacpp", "absent", note="no")))
    assert ratio_to(absent, "decode", 1.6).met is None
    failed: dict[str, Any] = {"runs": (Run("paddock", "failed", note="memory is short"),)}
    assert ratio_to(replace(found, **failed), "decode", 1.6).met is None
