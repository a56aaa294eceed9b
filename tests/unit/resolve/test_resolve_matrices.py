"""Every row of the vendors' tables, as they print them, comes out of the resolver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paddock.deploy.catalog import load
from paddock.deploy.resolve import HostView, Stack, make, resolve

MATRICES = Path(__file__).parents[2] / "stacks" / "matrices"
CHIPS = {
    "910A": "910",
    "Atlas 800 9000": "910",
    "800T A2": "910b",
    "800I A2": "910b",
    "900 A3": "a3",
}


def rows(name: str) -> list[list[str]]:
    lines = (MATRICES / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.split("\t")] for line in lines if line[:1] not in ("#", "")]
    return cells[1:]


def stack(framework: str, chip: str, *pins: str, allow: tuple[str, ...] = ()) -> Stack:
    view = HostView(accelerator="ascend", chip=chip, arch="aarch64")
    catalog = load()
    return resolve(catalog, view, make(catalog, framework, pins=pins, allow=allow))


TORCH_NPU = rows("torch_npu_compat")
VLLM = rows("vllm_ascend_compat")
MINDFORMERS = rows("mindformers_compat")
PYTHON = rows("torch_python")


def test_the_tables_are_whole() -> None:
    assert [len(t) for t in (TORCH_NPU, VLLM, MINDFORMERS, PYTHON)] == [62, 36, 16, 14]


@pytest.mark.parametrize("row", TORCH_NPU, ids=lambda row: row[0])
def test_torch_npu(row: list[str]) -> None:
    version, branch, torch, cann = row
    version = version.removesuffix(" (beta)")
    found = stack("torch", "910b", f"torch_npu={version}")
    assert found.level == "official" or cann == "8.0.RC3"  # whose Pythons are not all published
    assert (found.version("torch"), found.version("cann")) == (torch, cann)
    release = load().release("torch_npu", version)
    assert release is not None
    assert release.facts["branch"] == branch


@pytest.mark.parametrize("row", VLLM, ids=lambda row: row[0])
def test_vllm_ascend(row: list[str]) -> None:
    version, vllm, python, cann, pair, *_ = (cell.removeprefix("v") for cell in row)
    torch, torch_npu = (part.strip() for part in pair.split("/"))
    found = stack("vllm", "910b", f"vllm_ascend={version}")
    assert found.level == "official"
    assert found.version("vllm") in [name.removeprefix("v") for name in vllm.split("/")]
    assert found.version("cann") == found.version("nnal") == cann
    assert (found.version("torch"), found.version("torch_npu")) == (torch, torch_npu)
    low, high = re.findall(r"3\.(\d+)", python)
    minor = int((found.version("python") or "").split(".")[1])
    assert int(low) <= minor < int(high)


@pytest.mark.parametrize("row", MINDFORMERS, ids=lambda row: row[0])
def test_mindformers(row: list[str]) -> None:
    version, mindspore, cann, driver, python, hardware, _ = [*row, ""][:7]
    chips = {CHIPS[name] for name in CHIPS if name in hardware}
    allow = () if cann != "-" else ("unverified",)
    spoken = [f"{name.replace('-', '')}" for name in re.findall(r"\d+\.\d+[\w.-]*", mindspore)]
    for chip in chips or {"910b"}:
        found = stack("mindspore", chip, f"mindformers={version}", allow=allow)
        assert found.level == ("official" if cann != "-" else "unverified")
        known = found.version("mindspore") or ""
        assert any(known == name or known.startswith(f"{name}.") for name in spoken)
        wanted = None if cann == "-" else re.sub(r"\.beta1$", "", cann)
        assert found.version("cann") == wanted
        if driver not in ("-", "1.0.RC3.alpha"):  # two drivers are published for that one
            assert found.version("driver") == driver.lower()
        minors = {".".join(p.split(".")[:2]) for p in python.split(",")}
        assert ".".join((found.version("python") or "").split(".")[:2]) in minors


@pytest.mark.parametrize("row", PYTHON[1:], ids=lambda row: row[0])
def test_python_of_torch(row: list[str]) -> None:
    """Each Python that is printed can be had with that torch on Ascend, and no other."""
    torch, pythons = row
    printed = {re.sub(r"\(.*\)", "", p).strip() for p in pythons.split(",")}
    offered = set()
    catalog = load()
    view = HostView(accelerator="ascend", chip="910b", arch="aarch64")
    for minor in range(7, 16):
        wish = make(catalog, "torch", pins=(f"torch={torch}",), python=f"3.{minor}")
        try:
            resolve(catalog, view, wish)
        except Exception as error:
            assert type(error).__name__ == "NoStack", error
            continue
        offered.add(f"3.{minor}")
    assert offered <= printed
    missing = {
        # CANN's own range does not reach as far as the wheels of that torch_npu.
        "2.12.0": set(),
    }.get(torch, set())
    assert printed - offered == missing
