"""isula by its command line: every option known to it, and the whole life of a container."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.container import (
    Archive,
    ContainerSpec,
    ContainerStep,
    ImageStep,
    Mount,
    argv,
    connect,
)
from paddock.deploy.step import Machine
from paddock.errors import ContainerError, StepFailed
from paddock.shell import LocalRunner

SHIM = Path(__file__).with_name("isula_shim.py")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "isula"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", str(SHIM)])} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "images").write_text("busybox:1\n")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("ISULA_SHIM", str(tmp_path))
    monkeypatch.setattr("paddock.deploy.container.step.ALIVE_S", 0)
    return Machine(LocalRunner(), str(tmp_path / "paddock"))


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    return ContainerSpec(
        name="npu-llama",
        image="busybox:1",
        engine="isula",
        deployment="llama",
        command=("sh", "-c", "sleep 60"),
        devices=("/dev/null",),
        runtime="runc",
        mounts=(Mount(str(tmp_path), "/data", read_only=True),),
        network="host",
        hostname="npu",
        ipc="private",
        shm=2**30,
        pids=4096,
        ulimits={"memlock": -1},
        workdir="/workspace",
        user="root",
        groups=(1000,),
        environment={"COLOUR": "light blue", "TOKEN": "hunter2"},
        privileged=True,
        cap_add=("SYS_PTRACE",),
        restart="always",
    )


def stored(tmp_path: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "containers.json").read_text())[name]
    return found


def test_a_whole_life(machine: Machine, spec: ContainerSpec, tmp_path: Path) -> None:
    step = ContainerStep(spec, (str(tmp_path),))
    state = step.check(machine)
    assert [change.what for change in state.changes] == ["container npu-llama"]
    step.apply(machine, print)
    assert step.check(machine).right
    there = stored(tmp_path, "npu-llama")
    assert there["Config"]["Env"] == ["COLOUR=light blue", "TOKEN=hunter2"]
    assert there["Config"]["Cmd"] == ["-c", "sleep 60"]
    # What the process list showed: names, no values.
    assert there["Options"]["env"] == ["COLOUR", "TOKEN"]
    changed = ContainerStep(replace(spec, pids=100))
    assert [change.what for change in changed.check(machine).changes] == [
        "container npu-llama: pids"
    ]
    changed.apply(machine, print)
    assert stored(tmp_path, "npu-llama")["Options"]["pids-limit"] == ["100"]
    with connect(machine, "isula") as engine:
        assert [found.name for found in engine.containers()] == ["npu-llama"]
        assert [image.names for image in engine.images()] == [("busybox:1",)]
        engine.stop("npu-llama", 5)
    assert [change.after for change in changed.check(machine).changes] == ["running"]
    changed.undo(machine, state.before, print)
    assert json.loads((tmp_path / "containers.json").read_text()) == {}


def test_a_failed_change_keeps_the_one_before(
    machine: Machine, spec: ContainerSpec, tmp_path: Path
) -> None:
    ContainerStep(spec).apply(machine, print)
    before = stored(tmp_path, "npu-llama")
    with pytest.raises(StepFailed, match="No such device"):
        ContainerStep(replace(spec, devices=("/dev/davinci99",))).apply(machine, print)
    assert stored(tmp_path, "npu-llama") == before


def test_the_runbook_makes_the_same(machine: Machine, spec: ContainerSpec, tmp_path: Path) -> None:
    step = ContainerStep(replace(spec, environment={}), (str(tmp_path),))
    for _ in range(2):
        output = machine.sh(f"set -eu\n{step.script()}")
        assert output.ok, output
    assert step.check(machine).right


def test_an_image_is_loaded_and_taken_back(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("tiny:1\n")
    step = ImageStep("isula", "tiny:1", Archive(str(tmp_path / "image.tar")))
    state = step.check(machine)
    step.apply(machine, print)
    assert step.check(machine).right
    step.undo(machine, state.before, print)
    assert not step.check(machine).right


@pytest.mark.parametrize("words", [["--network", "host"], ["--init"], ["--publish", "1:1"]])
def test_the_shim_knows_no_more_than_isula(machine: Machine, words: list[str]) -> None:
    output = machine.run(["isula", "create", "--name", "xx", *words, "busybox:1"])
    assert "unknown flag" in output.stderr


def test_what_only_docker_has_is_refused_by_isula(machine: Machine, spec: ContainerSpec) -> None:
    words = ["isula", *argv(replace(spec, engine="docker"))[1:]]
    assert "unknown flag" in machine.run(words).stderr


def test_no_isula(spec: ContainerSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    machine = Machine(LocalRunner(), str(tmp_path))
    with pytest.raises(StepFailed, match="there is no isula on local"):
        ContainerStep(spec).check(machine)
    with connect(machine, "isula") as engine, pytest.raises(ContainerError, match="no isula"):
        engine.containers()
