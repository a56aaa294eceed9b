"""Distributions are installed in their versions, read back, and taken away again. pip is real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from wheels import wheel

from paddock.deploy.bundle import MANIFEST
from paddock.deploy.provision.pip import PipStep, Wanted, same
from paddock.deploy.step import Machine
from paddock.errors import StepFailed
from paddock.shell import LocalRunner


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(LocalRunner(), str(tmp_path / "paddock"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    wheel(folder / "wheels", "framework", "2.1.0+cpu", requires=("number-library",))
    wheel(folder / "wheels", "number-library", "1.24.0")
    wheel(folder / "wheels", "number-library", "2.0.0")
    wheel(folder, "plugin-npu", "2.1.0.post3", requires=("framework==2.1.0",))
    (folder / MANIFEST).write_text("{}")
    return folder


def step(environment: Path, machine: Machine, artifacts: Path, *wanted: Wanted) -> PipStep:
    return PipStep(
        id="test.packages",
        title="t",
        why="w",
        python=f"{environment}/bin/python",
        wanted=wanted,
        folder=machine.folder,
        constraints=("number-library==1.24.0",),
        artifacts=str(artifacts),
    )


PAIR = (
    Wanted("framework", "2.1.0", source="framework==2.1.0", index="https://index.invalid/whl"),
    Wanted(
        "plugin_npu",
        "2.1.0.post3",
        source="plugin_npu-2.1.0.post3-py3-none-any.whl",
        address="https://index.invalid/plugin_npu-2.1.0.post3-py3-none-any.whl",
    ),
)


def test_a_pair_is_installed_from_a_bundle_alone(
    environment: Path, machine: Machine, artifacts: Path
) -> None:
    wanted = step(environment, machine, artifacts, *PAIR)
    before = wanted.check(machine)
    assert [change.what for change in before.changes] == [
        "distribution framework",
        "distribution plugin_npu",
    ]
    said: list[str] = []
    wanted.apply(machine, said.append)
    assert said[-2:] == ["framework 2.1.0+cpu", "plugin_npu 2.1.0.post3"]
    there = wanted.check(machine)
    assert there.right
    assert there.before["distributions"]["number-library"] == "1.24.0"  # the constraint held
    again = machine.sh(f"set -eu\n{wanted.script()}", timeout=120)
    assert again.ok and "Successfully installed" not in again.stdout
    wanted.undo(machine, before.before, print)
    assert wanted.check(machine).before == before.before


def test_a_version_that_was_replaced_comes_back(
    environment: Path, machine: Machine, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(artifacts / "wheels"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    old = step(environment, machine, artifacts, Wanted("number-library", "1.24.0"))
    old.apply(machine, print)
    new = PipStep(
        "new", "t", "w", old.python, (Wanted("number-library", "2.0.0"),), machine.folder,
        artifacts=str(artifacts),
    )  # fmt: skip
    before = new.check(machine)
    new.apply(machine, print)
    assert new.check(machine).right
    new.undo(machine, before.before, print)
    assert old.check(machine).right
    old.undo(machine, {"distributions": {}}, print)


def test_what_cannot_be_had_is_diagnosed(
    environment: Path, machine: Machine, artifacts: Path
) -> None:
    wanted = step(environment, machine, artifacts, Wanted("torch-npu", "9.9"))
    with pytest.raises(StepFailed, match="there is no wheel of torch_npu") as caught:
        wanted.apply(machine, lambda _: None)
    assert caught.value.hint and "No matching distribution" in caught.value.log


def test_without_an_environment_all_is_missing(machine: Machine, artifacts: Path) -> None:
    wanted = step(Path("/nowhere"), machine, artifacts, *PAIR)
    assert len(wanted.check(machine).changes) == 2
    wanted.undo(machine, {"distributions": {}}, print)


@pytest.mark.parametrize(
    ("now", "wanted", "right"),
    [
        ("2.1.0+cpu", "2.1.0", True),
        ("2.1.0.post3", "2.1.0", False),
        ("2.7.0rc1", "2.7.0", False),
        ("2.7.0", "2.7.0", True),
        ("2.1.0+cpu", "2.1.0+cu121", False),
        ("1.0", None, True),
        (None, None, False),
        ("not a version", "1.0", False),
    ],
)
def test_which_versions_count_as_the_same(now: str | None, wanted: str | None, right: bool) -> None:
    assert same(now, wanted) is right
