"""The frameworks really installed from the package index by the steps, and read back.

Gigabytes and minutes: not in the default run of end-to-end tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddock.deploy import catalog
from paddock.deploy.host import probe
from paddock.deploy.provision import Context, mindspore, python, torch
from paddock.deploy.resolve import HostView, Stack, make, resolve
from paddock.deploy.stackfile import ContainerWish, PythonWish, Stackfile
from paddock.deploy.step import Machine, Step
from paddock.errors import StepFailed
from paddock.shell import LocalRunner

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def stack(framework: str, accelerator: str, chip: str, *pins: str) -> Stack:
    data = catalog.load()
    view = HostView(accelerator=accelerator, chip=chip, arch="x86_64")
    return resolve(data, view, make(data, framework, pins=pins, python=HERE))


def context(found: Stack, folder: Path, manager: str) -> Context:
    facts = probe.read(LocalRunner())
    file = Stackfile(
        container=ContainerWish(engine="none"),
        python=PythonWish(manager=manager, version=HERE),  # type: ignore[arg-type]
    )
    return Context(file, facts, facts, found, str(folder))


def apply(steps: list[Step], machine: Machine) -> None:
    for step in steps:
        if not step.check(machine).right:
            step.apply(machine, print)
        assert step.check(machine).right, step.id


def test_mindspore_with_mindformers(tmp_path: Path) -> None:
    found = stack("mindspore", "cpu", "cpu")
    of = context(found, tmp_path, "venv")
    machine = Machine(LocalRunner(), str(tmp_path))
    before = python.steps(of)[-1].check(machine)
    apply([*python.steps(of), *mindspore.steps(of)], machine)
    ask = "import importlib.metadata as m; print(m.version('mindspore'), m.version('mindformers'))"
    output = machine.run([of.interpreter, "-c", ask])
    wanted = [found.version("mindspore"), found.version("mindformers")]
    assert output.stdout.split() == wanted
    python.steps(of)[-1].undo(machine, before.before, print)
    assert not Path(of.environment).exists()


def test_torch_with_torch_npu(tmp_path: Path) -> None:
    """Without the chip the last step must fail, and say why."""
    found = stack("torch", "ascend", "910b")
    of = context(found, tmp_path, "uv")
    machine = Machine(LocalRunner(), str(tmp_path))
    *packages, computes = torch.steps(of)
    apply([*python.steps(of), *packages], machine)
    ask = "import importlib.metadata as m; print(m.version('torch'), m.version('torch_npu'))"
    output = machine.run([of.interpreter, "-c", ask])
    versions = [text.partition("+")[0] for text in output.stdout.split()]
    assert versions == [found.version("torch"), found.version("torch_npu")]
    with pytest.raises(StepFailed, match=r"\[torch-npu-without-cann\]") as caught:
        computes.apply(machine, print)
    assert caught.value.hint
    assert not computes.check(machine).right
