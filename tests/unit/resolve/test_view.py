"""From the facts of a machine to what decides versions, on recordings of real ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.catalog import load
from paddock.deploy.host import Host, target
from paddock.deploy.host.devices import Ascend, Gpu, Npu, Nvidia
from paddock.deploy.host.devices import Component as Installed
from paddock.deploy.host.machine import Index, System
from paddock.deploy.resolve import HostView, VersionFile, from_host, make, resolve
from paddock.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TESTS = Path(__file__).parents[2]
VIEWS = tomllib.loads((TESTS / "stacks" / "views.toml").read_text(encoding="utf-8"))
ARM = System(id="ubuntu", version="20.04", codename="focal", arch="aarch64", libc="glibc")


@pytest.mark.parametrize("name", VIEWS)
def test_recordings(name: str) -> None:
    host = target.recorded(TESTS / "hosts" / name)
    view = from_host(host, load(), arch=None if host.system.arch else "aarch64")
    expected: dict[str, Any] = {"accelerator": "ascend", **VIEWS[name]}
    found = {
        **view.to_dict(),
        "driver": view.driver and view.driver.version,
        "firmware": view.firmware and view.firmware.version,
        "toolkits": list(view.toolkits),
    }
    assert {key: found.get(key) for key in expected} == expected


def test_version_files_reach_the_rule() -> None:
    """The files of an 800I A2: 25.0.rc1.1 with 8.2.RC1, which the families admit."""
    host = target.recorded(TESTS / "hosts" / "800ia2-versions")
    view = from_host(host, load(), arch="aarch64").with_(chip="910b")
    assert view.driver is not None
    assert view.driver.family == "V100R001C21"
    assert view.driver.compatible[0] == "V100R001C17"
    assert view.toolkits["8.2.RC1"].family == "V100R001C22"
    stack = resolve(load(), view, make(load(), "torch", pins=("cann=8.2.RC1",)))
    assert stack.version("torch_npu") == "2.6.0"
    levels = {(e.subject, e.object): e.level for e in stack.evidence}
    assert levels["cann", "driver"] == "derived"


def test_json_round_trip() -> None:
    view = HostView(
        accelerator="ascend",
        chip="910b",
        arch="aarch64",
        driver=VersionFile("23.0.7", "V100R001C15SPC012B220", ("V100R001C15",), "[7.0.0,7.1.99]"),
        toolkits={"8.0.0": VersionFile("8.0.0", origin="/usr/local/Ascend")},
        notes=("a note",),
    )
    assert HostView.from_dict(view.to_dict()) == view


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chips": "910"}, "unknown fact 'chips' of a host; did you mean 'chip'"),
        ({"accelerator": "tpu"}, "which is none of ascend, nvidia, cpu"),
        ({"driver": {"versoin": "23.0.0"}}, "these are not facts"),
        ({"toolkits": "8.0.0"}, "these are not facts"),
    ],
)
def test_what_is_no_view(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        HostView.from_dict(values)
    assert message in caught.value.message


def test_the_pci_id_goes_before_the_name() -> None:
    """An A3 prints Ascend910, and Ascend910B without a digit is the first generation."""
    npus = (Npu(0, name="Ascend910", pci_device="d803"),)
    view = from_host(Host(system=ARM, ascend=Ascend(npus=npus)), load())
    assert view.chip == "a3"
    npus = (Npu(0, name="Ascend910B"),)
    assert from_host(Host(system=ARM, ascend=Ascend(npus=npus)), load()).chip == "910"


def test_an_unknown_chip_is_not_guessed() -> None:
    host = Host(system=ARM, ascend=Ascend(npus=(Npu(0, name="910Z"),)))
    view = from_host(host, load())
    assert view.chip is None
    with pytest.raises(UsageError, match="910Z"):
        resolve(load(), view, make(load(), "torch"))
    stack = resolve(load(), view, make(load(), "torch", pins=("chip=910b",)))
    assert stack.chip == "910b"


def test_mixed_chips_are_told() -> None:
    npus = (Npu(0, name="910A", pci_device="d801"), Npu(1, name="310P3", pci_device="d500"))
    view = from_host(Host(system=ARM, ascend=Ascend(npus=npus)), load())
    assert view.chip is None
    assert "different generations" in view.notes[0]


def test_the_active_driver_counts() -> None:
    installed = (
        Installed("driver", "/old", version="23.0.0"),
        Installed("driver", "/usr/local/Ascend/driver", version="24.1.0", active=True),
        Installed("firmware", "/usr/local/Ascend/firmware", version="7.5.0.2.220", number="24.1.0"),
    )
    ascend = Ascend(npus=(Npu(0, name="910B4"),), components=installed)
    view = from_host(Host(system=ARM, ascend=ascend), load())
    assert view.driver is not None
    assert view.firmware is not None
    assert (view.driver.version, view.firmware.version) == ("24.1.0", "7.5.0.2.220")


@pytest.mark.parametrize(
    ("suites", "url", "expected"),
    [
        (["focal", "focal-updates"], "http://ports.ubuntu.com/ubuntu-ports", "Ubuntu-Ports-focal"),
        (["focal", "bionic-security"], "http://ports.ubuntu.com", "Ubuntu-Ports-bionic"),
        (["bionic"], "http://archive.ubuntu.com/ubuntu", "Ubuntu-bionic"),
        (["bookworm"], "http://deb.debian.org/debian", None),
    ],
)
def test_the_wrong_apt_list_is_seen(suites: list[str], url: str, expected: str | None) -> None:
    indexes = tuple(Index("apt", url, "/etc/apt/sources.list", suite) for suite in suites)
    assert from_host(Host(system=ARM, indexes=indexes), load()).apt == expected


def test_the_weakest_gpu_decides() -> None:
    gpus = tuple(Gpu(i, compute_capability=c) for i, c in enumerate(("12.0", "9.0", "7.5")))
    view = from_host(Host(system=ARM, nvidia=Nvidia(driver_version="580.65.06", gpus=gpus)), load())
    assert (view.accelerator, view.capability, view.nvidia_driver) == ("nvidia", "7.5", "580.65.06")
    assert view.notes == ("GPUs of compute capability 7.5, 9.0, 12.0: the lowest decides here",)


def test_without_an_accelerator() -> None:
    view = from_host(Host(system=ARM), load())
    assert (view.accelerator, view.chip, view.os) == ("cpu", "cpu", "ubuntu:20.04")


def test_architecture() -> None:
    assert from_host(Host(system=System(arch="arm64")), load()).arch == "aarch64"
    assert from_host(Host(), load(), arch="x86_64").arch == "x86_64"
    with pytest.raises(UsageError, match="do not tell"):
        from_host(Host(), load())
    with pytest.raises(UsageError, match="aarch64 and not x86_64"):
        from_host(Host(system=ARM), load(), arch="x86_64")
