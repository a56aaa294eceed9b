"""Containers made, changed, broken and taken back by the engines themselves."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import engine as dockerd
from paddock.deploy.container import (
    LABEL,
    Archive,
    ContainerSpec,
    ContainerStep,
    Engine,
    ImageStep,
    Mount,
    Published,
    connect,
)
from paddock.deploy.container.process import START, command
from paddock.deploy.step import Machine
from paddock.errors import ContainerError, StepFailed
from paddock.shell import ContainerRunner, LocalRunner

pytestmark = pytest.mark.e2e

IMAGE = "paddock-test-busybox:2"


def busybox_tar(release: bytes = b'ID="tiny"\n') -> bytes:
    """A file system with busybox and nothing else."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(os.path.realpath(busybox), "bin/busybox")
        for name in applets.stdout.split():
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        entry = tarfile.TarInfo("etc/os-release")
        entry.size = len(release)
        tar.addfile(entry, io.BytesIO(release))
    return packed.getvalue()


@pytest.fixture(scope="module")
def daemon(engine: dockerd.Engine) -> Iterator[tuple[str, ...]]:
    """DOCKER_HOST is the tests' own engine, with IMAGE; yields how to enter its network."""
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = engine.host
    try:
        load = ["docker", "import", "-", IMAGE]
        subprocess.run(load, input=busybox_tar(), capture_output=True, check=True)
        yield engine.network
        engine.docker("rmi", "-f", IMAGE)
    finally:
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before


@pytest.fixture
def machine(daemon: tuple[str, ...], tmp_path: Path) -> Machine:
    return Machine(LocalRunner(), str(tmp_path / "paddock"))


@pytest.fixture
def asked(machine: Machine) -> Iterator[Engine]:
    """The engine as Paddock asks it; its containers are removed after each test."""
    with connect(machine, "docker") as made:
        yield made
        for found in made.containers():
            made.remove(found.name, force=True)


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_text("text\n")
    return ContainerSpec(
        name="npu-llama",
        image=IMAGE,
        deployment="llama",
        command=command(),
        devices=("/dev/null", "/dev/zero"),
        mounts=(Mount(str(folder), "/data"), Mount(str(folder / "file"), "/file", True)),
        ports=(Published(2223, 223, "127.0.0.1"),),
        hostname="npu-llama",
        shm=64 * 2**20,
        pids=100,
        ulimits={"nofile": 1024},
        workdir="/workspace",
        groups=(1234,),
        environment={"COLOUR": "blue", "API_TOKEN": "hunter2"},
        cap_add=("SYS_PTRACE",),
        restart="unless-stopped",
    )


def inside(spec: ContainerSpec, script: str) -> str:
    output = ContainerRunner(spec.name).run(["sh", "-c", script])
    assert output.ok, output
    return output.stdout


def test_every_option_arrives(machine: Machine, asked: Engine, spec: ContainerSpec) -> None:
    step = ContainerStep(spec)
    state = step.check(machine)
    assert [change.what for change in state.changes] == ["container npu-llama"]
    assert "hunter2" not in str(state)
    step.apply(machine, print)
    assert step.check(machine).right
    assert inside(spec, "hostname; pwd; echo $COLOUR $API_TOKEN; ulimit -n; id -G") == (
        "npu-llama\n/workspace\nblue hunter2\n1024\n0 1234\n"
    )
    assert inside(spec, "cat /file; echo new >/data/new; echo x >/file || echo refused") == (
        "text\nrefused\n"
    )
    assert inside(spec, "df -k /dev/shm | tail -n 1").split()[1] == "65536"
    assert inside(spec, "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max || :") == "100\n"
    assert inside(spec, "echo x >/dev/null; head -c 2 /dev/zero | wc -c") == "2\n"
    assert Path(spec.mounts[0].source, "new").read_text() == "new\n"
    step.undo(machine, state.before, print)
    assert asked.find(spec.name) is None


def test_a_published_port_is_reached(
    daemon: tuple[str, ...], machine: Machine, asked: Engine, spec: ContainerSpec
) -> None:
    ContainerStep(spec).apply(machine, print)
    inside(spec, "echo hello | nc -l -p 223 >/dev/null 2>&1 & sleep 1")
    words = [*daemon, "busybox", "nc", "127.0.0.1", "2223"]
    got = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert got.stdout == "hello\n"


def test_a_second_run_changes_nothing(machine: Machine, asked: Engine, spec: ContainerSpec) -> None:
    step = ContainerStep(spec)
    step.apply(machine, print)
    before = asked.find(spec.name)
    step.apply(machine, print)
    assert asked.find(spec.name) == before


def test_a_stopped_one_is_started(machine: Machine, asked: Engine, spec: ContainerSpec) -> None:
    step = ContainerStep(spec)
    step.apply(machine, print)
    asked.stop(spec.name, 10)
    changes = step.check(machine).changes
    assert [(c.what, c.before, c.after) for c in changes] == [
        ("container npu-llama: state", "exited", "running")
    ]
    identity = asked.find(spec.name)
    step.apply(machine, print)
    again = asked.find(spec.name)
    assert again and again.running and identity and again.id == identity.id


def test_another_spec_makes_it_anew(machine: Machine, asked: Engine, spec: ContainerSpec) -> None:
    ContainerStep(spec).apply(machine, print)
    other = replace(
        spec,
        pids=200,
        devices=("/dev/null",),
        environment={"COLOUR": "red", "API_TOKEN": "hunter2"},
    )
    step = ContainerStep(other)
    changes = {(c.what, c.before, c.after) for c in step.check(machine).changes}
    assert changes == {
        ("container npu-llama: pids", "100", "200"),
        ("container npu-llama: devices", "/dev/zero", None),
        ("container npu-llama: environment COLOUR", "set", "set to another value"),
    }
    step.apply(machine, print)
    assert step.check(machine).right
    assert inside(other, "echo $COLOUR; test -e /run/x || echo fresh") == "red\nfresh\n"
    assert [found.name for found in asked.containers()] == [spec.name]


def test_another_image_under_the_name_makes_it_anew(
    machine: Machine, asked: Engine, spec: ContainerSpec
) -> None:
    step = ContainerStep(spec)
    step.apply(machine, print)
    old = asked.image(IMAGE)
    load = ["docker", "import", "-", IMAGE]
    data = busybox_tar(b'ID="other"\n')
    subprocess.run(load, input=data, capture_output=True, check=True)
    changes = step.check(machine).changes
    assert [change.what for change in changes] == ["container npu-llama: image id"]
    assert old and changes[0].before == old.id
    step.apply(machine, print)
    assert inside(spec, "cat /etc/os-release") == 'ID="other"\n'


def test_a_failed_change_keeps_the_one_before(
    machine: Machine, asked: Engine, spec: ContainerSpec
) -> None:
    ContainerStep(spec).apply(machine, print)
    before = asked.find(spec.name)
    said: list[str] = []
    with pytest.raises(StepFailed, match="gathering device information"):
        ContainerStep(replace(spec, devices=("/dev/davinci99",))).apply(machine, said.append)
    assert asked.find(spec.name) == before
    assert said[-1] == "the container npu-llama from before runs again"
    assert [found.name for found in asked.containers()] == [spec.name]


def test_a_change_that_was_broken_off_goes_on(
    machine: Machine, asked: Engine, spec: ContainerSpec
) -> None:
    step = ContainerStep(spec)
    step.apply(machine, print)
    asked.stop(spec.name, 10)
    asked.rename(spec.name, f"{spec.name}.before")  # as if killed here
    assert [c.what for c in step.check(machine).changes] == [
        "container npu-llama",
        "container npu-llama.before",
    ]
    step.apply(machine, print)
    assert step.check(machine).right
    assert [found.name for found in asked.containers()] == [spec.name]


@pytest.mark.parametrize(
    ("changes", "words", "hint"),
    [
        ({"devices": ("/dev/davinci99",)}, "gathering device information", "doctor"),
        ({"image": "paddock-test-none:1"}, "No such image|not found|no such host|dial", None),
        ({"command": ("/bin/none",)}, "no such file or directory", None),
        ({"command": ("sh", "-c", "echo why; exit 3")}, "ended as soon as", "sh"),
        ({"runtime": "none"}, "(?i)unknown.*runtime", "runtime"),
        ({"network": "none-such"}, "not found", None),
    ],
)
def test_a_failed_start_leaves_nothing(
    machine: Machine,
    asked: Engine,
    spec: ContainerSpec,
    changes: dict[str, object],
    words: str,
    hint: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paddock.deploy.container.step.ALIVE_S", 60)  # it ends sooner
    step = ContainerStep(replace(spec, **changes))
    with pytest.raises(StepFailed, match=words) as caught:
        step.apply(machine, print)
    assert asked.containers() == []
    if hint:
        assert hint in str(caught.value.hint)
    if "ended" in words:
        assert set(caught.value.log.splitlines()) == {"why"}  # once for each time it was tried


def test_a_taken_port_is_said(machine: Machine, asked: Engine, spec: ContainerSpec) -> None:
    ContainerStep(spec).apply(machine, print)
    other = replace(spec, name="npu-other", deployment="other")
    with pytest.raises(StepFailed, match="2223") as caught:
        ContainerStep(other).apply(machine, print)
    assert "container.ports" in str(caught.value.hint)
    assert [found.name for found in asked.containers()] == [spec.name]


def test_a_missing_mount_is_refused_and_not_made(
    machine: Machine, asked: Engine, spec: ContainerSpec, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    step = ContainerStep(replace(spec, mounts=(Mount(str(missing), "/data"),)), (str(missing),))
    for act in (step.check, lambda each: step.apply(each, print)):
        with pytest.raises(StepFailed, match="does not exist"):
            act(machine)
    with pytest.raises(StepFailed, match="bind source path does not exist"):
        replace(step, must_exist=()).apply(machine, print)
    assert not missing.exists()
    assert asked.containers() == []


@pytest.mark.parametrize("label", [(), ("--label", "io.paddock.spec={}")])
def test_what_is_not_ours_is_never_touched(
    machine: Machine, asked: Engine, spec: ContainerSpec, label: tuple[str, ...]
) -> None:
    words = ["docker", "run", "-d", "--name", spec.name, "--network", "none", *label]
    subprocess.run([*words, IMAGE, "sleep", "600"], capture_output=True, check=True)
    before = asked.find(spec.name)
    step = ContainerStep(spec)
    for act in (step.check, lambda each: step.apply(each, print)):
        with pytest.raises(StepFailed, match="there is a container 'npu-llama'"):
            act(machine)
    step.undo(machine, {"existed": False, "running": False}, print)
    assert asked.find(spec.name) == before


def test_one_that_was_there_stays_when_undone(
    machine: Machine, asked: Engine, spec: ContainerSpec
) -> None:
    step = ContainerStep(spec)
    step.apply(machine, print)
    before = step.check(machine).before
    step.undo(machine, before, print)
    found = asked.find(spec.name)
    assert found and found.running


def test_the_first_process_starts_what_is_to_run_and_stops_with_it(
    machine: Machine, asked: Engine, spec: ContainerSpec
) -> None:
    spec = replace(spec, mounts=(Mount(spec.mounts[0].source, START),))
    started = Path(spec.mounts[0].source, "10-service")
    started.write_text(
        "#!/bin/sh\ntrap 'echo ended >>/etc/paddock/start.d/said; exit 0' TERM\n"
        "echo began >>/etc/paddock/start.d/said\nwhile :; do sleep 1; done\n"
    )
    started.chmod(0o755)
    Path(spec.mounts[0].source, "file").unlink()
    ContainerStep(spec).apply(machine, print)
    said = Path(spec.mounts[0].source, "said")
    assert said.read_text() == "began\n"
    # A process that nobody waits for goes to the first one, which must reap it.
    inside(spec, "sh -c 'sleep 1 &'")
    time.sleep(2)
    assert "Z" not in inside(spec, "ps -o stat | tail -n +2")
    began = time.monotonic()
    asked.stop(spec.name, 30)
    assert time.monotonic() - began < 25
    assert said.read_text() == "began\nended\n"
    asked.start(spec.name)
    time.sleep(1)
    assert said.read_text() == "began\nended\nbegan\n"


def test_an_image_is_loaded_and_taken_back(
    machine: Machine, asked: Engine, spec: ContainerSpec, tmp_path: Path
) -> None:
    archive = str(tmp_path / "image.tar")
    name = "paddock-test-load:1"
    subprocess.run(["docker", "tag", IMAGE, name], check=True)
    subprocess.run(["docker", "save", "-o", archive, name], check=True)
    asked.remove_image(name)
    step = ImageStep("docker", name, Archive(archive))
    state = step.check(machine)
    assert [change.before for change in state.changes] == [None]
    step.apply(machine, print)
    assert step.check(machine).right
    said: list[str] = []
    container = ContainerStep(replace(spec, image=name))
    container.apply(machine, print)
    step.undo(machine, state.before, said.append)
    assert "npu-llama was made of it" in said[0]
    container.undo(machine, {"existed": False}, print)
    step.undo(machine, state.before, print)
    assert asked.image(name) is None
    assert asked.image(IMAGE) is not None


def test_an_image_that_cannot_be_had(machine: Machine, asked: Engine) -> None:
    with pytest.raises(StepFailed) as caught:
        ImageStep("docker", "127.0.0.1:9/none:1").apply(machine, print)
    assert "load -i" in str(caught.value.hint)


def test_the_runbook_makes_the_same(machine: Machine, asked: Engine, spec: ContainerSpec) -> None:
    spec = replace(spec, environment={"COLOUR": "light blue"})
    step = ContainerStep(spec, (spec.mounts[0].source,))
    for _ in range(2):
        output = machine.sh(f"set -eu\n{step.script()}", timeout=120)
        assert output.ok, output
    assert step.check(machine).right
    found = asked.find(spec.name)
    assert found and found.labels[LABEL] == spec.labels[LABEL]


def test_no_secret_is_in_the_runbook(spec: ContainerSpec) -> None:
    assert "hunter2" not in ContainerStep(spec).script()
    assert "--env API_TOKEN " in ContainerStep(spec).script()


def test_nobody_answers(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(ContainerError, match="could not connect"), connect(machine, "docker"):
        pass
