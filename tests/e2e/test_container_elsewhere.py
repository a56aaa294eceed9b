"""The same containers by podman, through its API and its command line, and by docker over SSH."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_container_lifecycle import IMAGE, busybox_tar

import engine as dockerd
import sshd
from paddock.deploy.container import ContainerSpec, ContainerStep, ImageStep, Mount, connect
from paddock.deploy.container.client import CommandLineEngine
from paddock.deploy.container.process import command
from paddock.deploy.container.sdk import SdkEngine
from paddock.deploy.step import Machine
from paddock.errors import StepFailed
from paddock.shell import ContainerRunner, LocalRunner

pytestmark = pytest.mark.e2e


def spec(engine: str, folder: Path) -> ContainerSpec:
    """As much as both engines give on a machine that may not raise limits."""
    return ContainerSpec(
        name="npu-elsewhere",
        image=IMAGE,
        engine=engine,  # type: ignore[arg-type]
        deployment="elsewhere",
        command=command(),
        devices=("/dev/null",),
        mounts=(Mount(str(folder), "/data", read_only=True),),
        network="none",
        shm=32 * 2**20,
        pids=200,
        ulimits={"nofile": 1024, "nproc": 1024},
        workdir="/workspace",
        groups=(1234,),
        environment={"COLOUR": "light blue"},
        restart="no",
    )


def whole_life(machine: Machine, wanted: ContainerSpec, folder: Path) -> None:
    """Made, entered, changed, failed, taken back."""
    (folder / "file").write_text("text\n")
    step = ContainerStep(wanted, (str(folder),))
    state = step.check(machine)
    step.apply(machine, print)
    assert step.check(machine).right, step.check(machine)
    inside = ContainerRunner(wanted.name, wanted.engine, machine.runner)
    script = 'cat /data/file; pwd; echo "$COLOUR"; ulimit -n; id -G; df -k /dev/shm | tail -n 1'
    said = inside.run(["sh", "-c", script]).stdout.splitlines()
    assert said[:5] == ["text", "/workspace", "light blue", "1024", "0 1234"]
    assert said[5].split()[1] == "32768"
    changed = ContainerStep(replace(wanted, pids=100))
    assert [c.what for c in changed.check(machine).changes] == ["container npu-elsewhere: pids"]
    changed.apply(machine, print)
    assert changed.check(machine).right
    with pytest.raises(StepFailed):
        ContainerStep(replace(wanted, devices=("/dev/davinci99",))).apply(machine, print)
    assert changed.check(machine).right  # the one before runs again
    missing = folder / "missing"
    with pytest.raises(StepFailed, match="does not exist"):
        bad = replace(wanted, mounts=(Mount(str(missing), "/data"),))
        ContainerStep(bad, (str(missing),)).apply(machine, print)
    assert not missing.exists()
    assert ImageStep(wanted.engine, IMAGE).check(machine).right
    changed.undo(machine, state.before, print)
    with connect(machine, wanted.engine) as asked:
        assert wanted.name not in [found.name for found in asked.containers()]
        assert any(IMAGE in name for image in asked.images() for name in image.names)


def test_docker_over_ssh(engine: dockerd.Engine, tmp_path: Path) -> None:
    load = ["docker", "--host", engine.host, "import", "-", IMAGE]
    subprocess.run(load, input=busybox_tar(), capture_output=True, check=True)
    with sshd.serving(tmp_path / "ssh", {"DOCKER_HOST": engine.host}) as runner:
        machine = Machine(runner, str(tmp_path / "paddock"))
        with connect(machine, "docker") as asked:
            assert isinstance(asked, SdkEngine)
        folder = tmp_path / "data"
        folder.mkdir()
        whole_life(machine, spec("docker", folder), folder)


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """podman with a storage of its own; yields the folder."""
    program = shutil.which("podman")
    if program is None or os.geteuid() != 0:
        pytest.skip("needs podman (Debian: podman) and root")
    tools = tmp_path / "bin"
    tools.mkdir()
    wrapper = tools / "podman"
    short = Path(tempfile.mkdtemp(prefix="pm"))  # podman's folder may have 50 characters
    own = f"--root {short}/root --runroot {short}/run --cgroup-manager cgroupfs"
    # Where its service listens is a fixed place, which the tests leave to the machine's own.
    wrapper.write_text(
        f'#!/bin/sh\nif [ "$1" = info ] && [ -S {tmp_path}/s ]; then echo {tmp_path}/s; exit; fi\n'
        f'exec {program} {own} --events-backend file "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    load = ["podman", "import", "-", IMAGE]
    done = subprocess.run(load, input=busybox_tar(), capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"podman does not work here: {done.stderr.decode()[-300:]}")
    yield tmp_path
    subprocess.run(["podman", "rm", "-fa"], capture_output=True, check=False)
    subprocess.run(["podman", "rmi", "-fa"], capture_output=True, check=False)
    for each in ("root/overlay", "root"):  # or else nobody can remove the folder
        subprocess.run(["umount", str(short / each)], capture_output=True, check=False)
    shutil.rmtree(short, ignore_errors=True)


def test_podman_by_its_command_line(podman: Path) -> None:
    machine = Machine(LocalRunner(), str(podman / "paddock"))
    with connect(machine, "podman") as asked:
        assert isinstance(asked, CommandLineEngine)
    folder = podman / "data"
    folder.mkdir()
    whole_life(machine, spec("podman", folder), folder)


def test_podman_by_its_api(podman: Path) -> None:
    socket = podman / "s"
    words = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
    with (podman / "log").open("w") as log:
        service = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not socket.exists() and service.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        machine = Machine(LocalRunner(), str(podman / "paddock"))
        with connect(machine, "podman") as asked:
            assert isinstance(asked, SdkEngine)
        folder = podman / "data"
        folder.mkdir()
        whole_life(machine, spec("podman", folder), folder)
    finally:
        service.terminate()
        service.wait(60)
