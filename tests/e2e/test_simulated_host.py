"""A simulated 8-card host is like a real one to whoever comes by SSH, with its own dockerd."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import IMAGE, Engine
from paddock.deploy.host import probe
from paddock.deploy.rehearse import model
from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.site import Site

pytestmark = pytest.mark.e2e

MISSING = "libdrvdsmi_host.so: cannot open shared object file: No such file or directory"


@pytest.fixture(scope="module")
def lab(images: Path) -> Iterator[Site]:
    with Site(images.parent / f"lab-{os.getpid()}") as made:
        yield made


@pytest.fixture(scope="module")
def host(lab: Site, images: Path) -> SimulatedHost:
    return lab.add(model.load("atlas-800-9000"), "npu1", images=images)


def test_the_engine_runs_containers_that_a_plain_root_could_not_start(
    engine: Engine, base_image: str
) -> None:
    said = engine.docker("run", "--rm", "--ulimit", "memlock=-1", base_image, "python3", "-V")
    assert said.startswith("Python 3.")


def test_the_probe_sees_an_ascend_server(lab: Site, host: SimulatedHost) -> None:
    facts = probe.read(lab.runner(host))
    assert facts.hostname == "npu1"
    assert facts.ascend is not None
    assert [npu.name for npu in facts.ascend.npus] == ["910A"] * 8
    assert [npu.pci_device for npu in facts.ascend.npus] == ["d801"] * 8
    driver = facts.ascend.component("driver")
    assert driver is not None
    assert driver.version == "23.0.0"
    assert [device.device for device in facts.pci] == ["d801"] * 8
    assert [engine.name for engine in facts.engines if engine.answers] == ["docker"]
    assert not [note for note in facts.notes if "npu-smi" in note.where], facts.notes


def test_the_missing_library_is_missed_in_a_container_for_real(host: SimulatedHost) -> None:
    devices = [f"--device=/dev/{name}" for name in ("davinci3", "davinci_manager")]
    mounts = [
        f"--mount=type=bind,source={path},target={path},readonly"
        for path in ("/usr/local/Ascend/driver/lib64", "/usr/local/sbin/npu-smi")
    ]
    docker = ["docker", "run", "--rm", "--network=none", *devices, *mounts]
    broken = host.enter([*docker, IMAGE, "npu-smi", "info"], timeout=60)
    assert (broken.exit_code, MISSING in broken.stderr) == (127, True)
    folder = "LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64/driver"
    cured = host.enter([*docker, "-e", folder, IMAGE, "npu-smi", "info"], timeout=60)
    assert cured.ok, cured.stderr
    assert cured.stdout.count("910A") == 1
    none = host.enter([*docker[:4], *mounts, "-e", folder, IMAGE, "npu-smi", "info"], timeout=60)
    assert (none.exit_code, "ret is -8005" in none.stdout) == (8, True)


def test_its_runtime_gives_the_cards_that_are_asked_for(host: SimulatedHost) -> None:
    argv = ["docker", "run", "--rm", "-e", "ASCEND_VISIBLE_DEVICES=2-4", "--network=none", IMAGE]
    seen = host.enter([*argv, "sh", "-c", "ls /dev/davinci[0-9]*"], timeout=60)
    assert seen.stdout.split() == ["/dev/davinci2", "/dev/davinci3", "/dev/davinci4"], seen.stderr


def test_nothing_is_left_behind(images: Path, tmp_path: Path) -> None:
    folder = images.parent / "site-nothing-left"
    before = Path("/proc/mounts").read_text()
    with Site(folder) as site:
        host = site.add(model.load("cpu"), "plain", images=images)
        assert site.runner(host).run(["hostname"]).stdout == "plain\n"
        pid = host.pid
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert Path("/proc/mounts").read_text() == before
    groups = Path("/sys/fs/cgroup")
    assert not [*groups.glob("paddock-site-nothing*"), *groups.glob("*/paddock-site-nothing*")]
