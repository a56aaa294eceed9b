"""A real container of a real docker, read from inside and from outside."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from paddock.deploy.host import probe, target
from paddock.errors import Unreachable
from paddock.shell import ContainerRunner, LocalRunner

pytestmark = pytest.mark.e2e

IMAGE = "paddock-test-busybox:1"


def docker(*args: str, data: bytes | None = None) -> str:
    done = subprocess.run(
        ["docker", *args], input=data, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def image(docker_engine: None) -> Iterator[str]:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(os.path.realpath(busybox), "bin/busybox")
        for name in applets.split():
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        release = b'ID="tiny"\nVERSION_ID="1"\n'
        entry = tarfile.TarInfo("etc/os-release")
        entry.size = len(release)
        tar.addfile(entry, io.BytesIO(release))
    docker("import", "-", IMAGE, data=packed.getvalue())
    yield IMAGE
    docker("rmi", IMAGE)


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[str]:
    name = f"paddock-test-{os.getpid()}"
    options = (
        *("--network", "none", "--shm-size", "64m", "--memory", "200m", "--cpus", "1.5"),
        *("--device", "/dev/null:/dev/davinci0", "--user", "1234"),
        *("-e", "ASCEND_VISIBLE_DEVICES=0-1", "-e", "DB_PASSWORD=secret"),
    )
    docker("run", "-d", "--rm", "--name", name, *options, image, "sleep", "600")
    yield name
    docker("rm", "-f", name)


def test_from_inside(container: str) -> None:
    host = target.facts(container=container)
    assert host.target == f"container:{container}"
    assert host.system.id == "tiny"
    assert host.confinement is not None
    assert host.confinement.kind == "docker"
    assert host.memory.limit == 200 * 2**20
    assert host.cpu.quota == 1.5
    assert host.shared_memory is not None
    assert host.shared_memory.total == 64 * 2**20
    assert (host.user.uid, host.user.named) == (1234, False)
    assert host.ascend is not None
    assert [node.path for node in host.ascend.nodes] == ["/dev/davinci0"]
    assert host.environment["ASCEND_VISIBLE_DEVICES"] == "0-1"
    assert host.pythons == ()


def test_from_outside(container: str) -> None:
    document, _ = probe.answer(LocalRunner())
    assert b"DB_PASSWORD" not in document
    host = probe.host(document, target="local")
    engine = next(engine for engine in host.engines if engine.name == "docker")
    assert engine.answers
    assert "runc" in engine.runtimes
    found = next(each for each in host.containers if each.name == container)
    assert found.image == IMAGE
    assert found.devices == ("/dev/null",)
    assert (found.visible_devices, found.network) == ("0-1", "none")


def test_programs_and_files(container: str) -> None:
    runner = ContainerRunner(container)
    assert runner.run(["printf", "%s|", "a b", "$HOME", "'"]).stdout == "a b|$HOME|'|"
    assert runner.run(["sh", "-c", "exit 7"]).exit_code == 7
    assert runner.run(["no-such-program"]).exit_code == 127
    assert runner.run(["cat"], stdin="x" * 100_000).stdout == "x" * 100_000
    assert runner.read("/etc/os-release") == 'ID="tiny"\nVERSION_ID="1"\n'
    assert runner.read("/none") is None


def test_a_container_that_is_not_there_or_does_not_run(image: str) -> None:
    with pytest.raises(Unreachable, match="there is no container"):
        probe.read(ContainerRunner("paddock-test-none"))
    name = f"paddock-test-stopped-{os.getpid()}"
    docker("create", "--name", name, "--network", "none", image, "true")
    try:
        with pytest.raises(Unreachable, match="does not run"):
            probe.read(ContainerRunner(name))
    finally:
        docker("rm", "-f", name)


def test_an_image_without_a_shell(image: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(os.path.realpath(str(shutil.which("busybox"))), "sleep")
    docker("import", "-", "paddock-test-bare:1", data=packed.getvalue())
    name = f"paddock-test-bare-{os.getpid()}"
    try:
        docker(
            "run", "-d", "--name", name, "--network", "none", "paddock-test-bare:1", "/sleep", "60"
        )
        with pytest.raises(Unreachable, match="cannot run programs"):
            probe.read(ContainerRunner(name))
    finally:
        docker("rm", "-f", name)
        docker("rmi", "paddock-test-bare:1")
