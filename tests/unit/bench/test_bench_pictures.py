"""The roofline's picture is well-formed, whatever is in it, and puts points where they belong."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from benchkit import SHAPE, FakeCeilings

from paddock.bench import result
from paddock.bench.plot import HEIGHT, LEFT, TOP, WIDTH, Axes, plot
from paddock.bench.result import Figure, Result, Run
from paddock.bench.run import Options, roofline
from paddock.bench.summary import Summary
from paddock.errors import BenchError

SVG = "{http://www.w3.org/2000/svg}"


def example(runs: int = 2, name: str = "runtime") -> Result:
    found = roofline(Options(repeats=2, threads=1), FakeCeilings())
    figures = {
        "prefill": Figure("tokens/s", Summary.of([90]), Summary.of([0.5]), 1e8, 9e9,
                          Summary.of([1.5])),
        "decode": Figure("tokens/s", Summary.of([9]), None, 1e8, 3e8, Summary.of([0.2])),
        "ttft": Figure("s", Summary.of([0.2])),
    }  # fmt: skip
    return replace(found, runs=tuple(Run(f"{name} {i}", figures=figures) for i in range(runs)))


@pytest.mark.parametrize("runs", [0, 1, 2, 12])
def test_it_is_well_formed(runs: int) -> None:
    root = ElementTree.fromstring(plot([example(runs)]))
    assert root.tag == f"{SVG}svg"
    marks = root.findall(f"{SVG}circle") + root.findall(f"{SVG}rect")
    assert len(marks) == 1 + 2 * 2 * runs, "a background; each figure in the picture and the legend"
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert "memory: 1 GB/s read" in texts
    assert "int8 products (fake): 10 Gop/s" in texts
    height = float(root.attrib["height"])
    for element in root.iter():
        for key, limit in (("x", WIDTH), ("cx", WIDTH), ("y", height), ("cy", height)):
            if key in element.attrib and "transform" not in element.attrib:
                assert float(element.attrib[key]) <= limit


def test_names_cannot_break_it() -> None:
    root = ElementTree.fromstring(plot([example(1, "<a & 'b'>\"")]))
    assert any("<a & 'b'>\" 0" in (text.text or "") for text in root.iter(f"{SVG}text"))


def test_axes_are_logarithmic() -> None:
    axes = Axes((1, 100), (1e6, 1e10))
    left, bottom = axes.at(1, 1e6)
    right, top = axes.at(100, 1e10)
    assert (left, top) == (LEFT, TOP)
    assert bottom < HEIGHT and right < WIDTH
    assert axes.at(10, 1e8) == ((left + right) / 2, (top + bottom) / 2)


def test_without_ceilings_there_is_nothing_to_draw() -> None:
    nothing = result.new("decode", [], host={}, model={"config": SHAPE.to_dict()})
    with pytest.raises(BenchError, match="no ceilings"):
        plot([nothing])
