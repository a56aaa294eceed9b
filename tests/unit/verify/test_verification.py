"""The checks of a target: with a real server, stand-in frameworks, machines without cards."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serverkit
from paddock.deploy.host import Host
from paddock.deploy.host.facts import Ascend, DeviceNode, Gpu, ModelConfig, Npu, Nvidia
from paddock.deploy.host.facts import PlatformConfig as Platform
from paddock.deploy.provision import Context
from paddock.deploy.resolve.stack import Choice, Stack
from paddock.deploy.stackfile import ContainerWish, ServeWish, Stackfile
from paddock.deploy.step import Machine
from paddock.deploy.verify import Check, Report, roofline, verify
from paddock.errors import UsageError
from paddock.shell import LocalRunner

FAKES = {
    "mindspore": """
__version__ = "2.2.11"
float32 = Tensor = lambda value, kind=None: value
class ops:
    matmul = staticmethod(lambda a, b: Product())
class Product:
    def __add__(self, one): return self
    def asnumpy(self): return self
    def tolist(self): return [[5.0] * 3] * 3
def set_context(device_target, device_id): print("device", device_id)
def run_check(): print("MindSpore version: 2.2.11")
""",
    "numpy": """
float32 = None
class ones:
    def __init__(self, shape, kind): pass
    T = None
""",
    "torch": """
__version__ = "2.1.0+cpu"
class npu:
    device_count = staticmethod(lambda: 2)
class Ones:
    T = None
    def __matmul__(self, other): return self
    def __add__(self, one): return self
    def cpu(self): return self
    def tolist(self): return [[5.0] * 3] * 3
def ones(*shape, device): return Ones()
""",
    "torch_npu": """
raise ImportError("libhccl.so: cannot open shared object file: No such file or directory")
""",
}


def stack(accelerator: str = "cpu", **versions: str) -> Stack:
    choices = tuple(Choice(n, n, v, "software", "chosen", "official") for n, v in versions.items())
    return Stack("torch", accelerator, "910b", "aarch64", "official", choices, ())


def context(folder: Path, **changes: Any) -> Context:
    made = Context(
        file=Stackfile(serve=ServeWish(enabled=False)),
        host=Host(),
        inside=Host(),
        stack=None,
        folder=str(folder),
        python=sys.executable,
    )
    return replace(made, **changes)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(LocalRunner(), str(tmp_path))


@pytest.fixture
def fakes(tmp_path: Path) -> str:
    """An interpreter that imports stand-ins for the frameworks."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, text in FAKES.items():
        (folder / f"{name}.py").write_text(text)
    program = tmp_path / "python"
    start = f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(folder))}\nexport PYTHONPATH\n"
    program.write_text(f'{start}exec {shlex.quote(sys.executable)} "$@"\n')
    program.chmod(0o755)
    return str(program)


def by_name(report: Report) -> dict[str, Check]:
    return {check.name: check for check in report.checks}


def test_the_built_in_model(machine: Machine, tmp_path: Path) -> None:
    with serverkit.serving() as server:
        wish = ServeWish(port=int(server.url.rpartition(":")[2]))
        report = verify(context(tmp_path, file=Stackfile(serve=wish)), machine, machine)
    checks = by_name(report)
    assert report.ok, report
    assert checks["answer"].status == "passed"
    assert "it is the capital of China" in checks["answer"].detail
    assert checks["speed"].status == "passed"
    assert checks["speed"].value and checks["speed"].value > 0
    assert "7 MB of weights stay in caches" in checks["speed"].detail
    assert {name for name, check in checks.items() if check.status == "skipped"} == {
        "devices",
        "imports",
        "product",
        "all-reduce",
    }


def test_nobody_listens(machine: Machine, tmp_path: Path) -> None:
    report = verify(context(tmp_path, file=Stackfile(serve=ServeWish(port=9))), machine, machine)
    answer = by_name(report)["answer"]
    assert not report.ok
    assert answer.status == "failed"
    assert "refused" in answer.detail


def test_versions_and_products(machine: Machine, tmp_path: Path, fakes: str) -> None:
    (tmp_path / "environment.sh").write_text("ASCEND=1; unset NO_SUCH; false\n")
    found = stack(mindspore="2.2.11", torch="2.1.0", mindformers="1.0.0")
    report = verify(context(tmp_path, stack=found, python=fakes), machine, machine)
    checks = by_name(report)
    assert checks["import-mindspore"].status == "passed"
    assert checks["import-torch"].detail == "it is 2.1.0+cpu"
    assert checks["import-mindformers"].status == "failed"
    assert "No module named 'mindformers'" in checks["import-mindformers"].detail
    assert checks["product-mindspore"].detail == "CPU:0"
    assert checks["product-torch"].detail == "cpu"
    assert not report.ok


def test_another_version_is_a_failure(machine: Machine, tmp_path: Path, fakes: str) -> None:
    found = stack(torch="2.2.0")
    report = verify(context(tmp_path, stack=found, python=fakes), machine, machine)
    check = by_name(report)["import-torch"]
    assert (check.status, check.detail) == ("failed", "it is 2.1.0+cpu")


def test_without_the_chip_nothing_is_claimed(machine: Machine, tmp_path: Path, fakes: str) -> None:
    nodes = tuple(DeviceNode(f"/dev/davinci{n}") for n in range(2))
    found = stack("ascend", torch="2.1.0", torch_npu="2.1.0")
    report = verify(
        context(
            tmp_path,
            stack=found,
            python=fakes,
            host=Host(ascend=Ascend(nodes=nodes)),
            file=Stackfile(
                container=ContainerWish(engine="docker", devices=(0, 1)),
                serve=ServeWish(enabled=False),
            ),
        ),
        machine,
        machine,
    )
    checks = by_name(report)
    missing = "there is no /dev/davinci0 on local; seen: failed"
    for name in ("devices", "import-torch_npu", "product-torch", "all-reduce"):
        assert checks[name].status == "unverified", checks[name]
        assert checks[name].detail.startswith(missing)
    assert "libhccl.so" in checks["import-torch_npu"].detail
    assert checks["import-torch"].status == "passed"
    assert report.ok


@pytest.mark.parametrize(
    ("host", "kind", "speed"),
    [
        (Host(ascend=Ascend(npus=(Npu(0, name="910A"),))), "ascend", 1148e9),
        (Host(ascend=Ascend(npus=(Npu(0, name="910ProB"),))), "ascend", None),
        (Host(ascend=Ascend(npus=(Npu(0, name="910B4"),))), "ascend", None),
        (
            Host(
                ascend=Ascend(
                    npus=(Npu(0, name="910B4"),),
                    platform=(
                        Platform("Ascend910B4", "x.ini", ai_cores=20, cube_mhz=1500, ddr_rate=32),
                    ),
                )
            ),
            "ascend",
            960e9,
        ),
        (Host(nvidia=Nvidia(gpus=(Gpu(0, name="NVIDIA A100-SXM4-80GB"),))), "nvidia", 2.039e12),
        (Host(nvidia=Nvidia(gpus=(Gpu(0, name="NVIDIA H100 80GB HBM3"),))), "nvidia", 3.35e12),
        (Host(nvidia=Nvidia(gpus=(Gpu(0, name="Tesla T4"),))), "nvidia", None),
        (Host(), "cpu", None),
    ],
)
def test_what_memory_allows(host: Host, kind: str, speed: float | None) -> None:
    limit = roofline.bound(host, kind)
    assert (limit if isinstance(limit, str) else limit.bytes_per_s) == (speed or limit)
    assert isinstance(limit, str) == (speed is None)


def test_the_speed_of_the_notes_is_explained() -> None:
    """10 tokens/s of Llama 2 7B in fp16 on a 910A, whose weights are 13.48 GB."""
    limit = roofline.bound(Host(ascend=Ascend(npus=(Npu(0, name="910A"),))), "ascend")
    assert isinstance(limit, roofline.Bound)
    config = ModelConfig("/root/run_llama2_7b.yaml", {"use_past": "False"})
    why = roofline.suspect(Host(model_configs=(config,)), ())
    assert roofline.verdict(10 * 13.48e9 / limit.bytes_per_s, why) == (
        "12 % of what its memory allows: use_past is off in /root/run_llama2_7b.yaml"
    )
    assert roofline.verdict(0.8, why) == "80 % of what its memory allows"
    assert roofline.verdict(0.1, None).endswith("paddock profile shows where the time goes")


def test_options_of_the_server_count() -> None:
    assert roofline.weight_bytes(200, 100, ()) == 200
    assert roofline.weight_bytes(200, 1000, ("--quant", "int4")) == 562
    assert roofline.weight_bytes(200, 1000, ("--quant=fp8", "--port", "1")) == 1000
    assert roofline.ranks(("--tp", "4", "--pp=2")) == 8
    assert roofline.suspect(Host(), ("--no-past",)) == "use_past is off (--no-past)"


TEXT = st.text(max_size=30)
CHECKS = st.builds(
    Check,
    TEXT,
    TEXT,
    st.sampled_from(["passed", "failed", "skipped", "unverified"]),
    TEXT,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | TEXT,
)
REPORTS = st.builds(
    Report,
    TEXT,
    TEXT,
    TEXT,
    st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    st.lists(CHECKS, max_size=4).map(tuple),
)


@settings(deadline=None)  # machines may be slow
@given(REPORTS)
def test_a_report_comes_back_from_json(report: Report) -> None:
    text = report.to_json()
    assert Report.from_json(text) == report
    assert json.loads(text)["ok"] == report.ok


class Page(HTMLParser):
    """What a page loads, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_escapes() -> None:
    check = Check("x", "<b>title</b>", "failed", "<script>alert(1)</script>", hint="a & b")
    report = Report("ssh://npu1", "llama", "now", (("CANN", "7.0.0"),), (check,))
    page = Page()
    page.feed(report.to_html())
    assert not page.tags & {"script", "link", "img", "b", "iframe"}
    assert "<script>alert(1)</script>" in page.text
    assert "CANN" in page.text
    assert "Something failed" in page.text


def test_what_is_no_report() -> None:
    with pytest.raises(UsageError, match="not a report"):
        Report.from_json("[]")
