"""Accelerators and their software, in the forms that no recording has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from answers import answer, parts
from paddock.deploy.host import bus, components, npu_detail, nvidia
from paddock.deploy.host.frames import Frame


def test_nodes_of_nobody() -> None:
    line = "r 660 1000 1000 UNKNOWN UNKNOWN character special file|/dev/davinci0\nnonsense"
    (node,) = bus.nodes(answer(nodes=line), notes := [])
    assert (node.owner, node.group, node.gid, node.mode) == (None, None, 1000, "660")
    assert (node.readable, node.writable, node.kind) == (True, False, "character special file")
    assert len(notes) == 1


def test_cann_8_5_is_laid_out_differently() -> None:
    root = "/usr/local/Ascend/cann-8.5.0"
    found = parts(
        Frame(
            f"file /usr/local/Ascend/cann/aarch64-linux/ascend_toolkit_install.info => "
            f"{root}/aarch64-linux/ascend_toolkit_install.info",
            "version=8.5.0\ninnerversion=V100R001C25SPC001B212\narch=aarch64\n"
            "compatible_version=[V100R001C15],[V100R001C25]",
            modified=1.0,
        ),
        Frame(
            f"file {root}/version.cfg",
            "toolkit_running_version=[8.5.0.0.1:CANN-8.5.0]",
            modified=1.0,
        ),
        Frame("kernels", f"{root}/opp\tascend910b"),
    )
    toolkit = components.components(found, {}, [])
    assert [(c.kind, c.version, c.inner_version, c.active) for c in toolkit] == [
        ("toolkit", "8.5.0", "V100R001C25SPC001B212", True)
    ]
    assert toolkit[0].number == "8.5.0.0.1"


def test_two_toolkits_and_the_environments_choice() -> None:
    base = "/usr/local/Ascend/ascend-toolkit"
    info = "version={}\ninnerversion=V100R001C15SPC003B226\ncompatible_version=[V100R001C15]\n"
    found = parts(
        *(
            Frame(
                f"file {base}/{v}/aarch64-linux/ascend_toolkit_install.info",
                info.format(v),
                modified=1.0,
            )
            for v in ("7.0.0", "8.0.RC3")
        )
    )
    chosen = {"ASCEND_HOME_PATH": f"{base}/8.0.RC3"}
    got = components.components(found, chosen, [])
    assert [(c.version, c.active) for c in got] == [("8.0.RC3", True), ("7.0.0", False)]


@pytest.mark.parametrize("build", [npu_detail.usages, npu_detail.ecc])
def test_two_chips_of_a_card_answer_one_after_the_other(build: Callable[..., Any]) -> None:
    text = (
        "\tNPU ID : 1\n\tChip Count : 2\n\n\tDDR Capacity(MB) : 44278\n"
        "\tDDR Single Bit Error Count : 1\n\tChip ID : 0\n\n\tDDR Capacity(MB) : 43693\n"
        "\tDDR Single Bit Error Count : 2\n\tChip ID : 1\n"
    )
    found = npu_detail.per_chip(build, text, "npu-smi info", notes := [])
    assert notes == []
    values = [
        getattr(chip, "ddr_capacity_mb", None) or getattr(chip, "ddr_single_bit", None)
        for chip in (found[0], found[1])
    ]
    assert values in ([44278, 43693], [1, 2])


def test_nvidia_tools_that_fail() -> None:
    query = Frame(
        "nvidia-smi --query-gpu=index,name --format=csv,noheader,nounits", "No devices", 6
    )
    found = nvidia.nvidia(parts(query), (), (), notes := [])
    assert found is not None
    assert (found.exit_code, found.error, found.gpus) == (6, "No devices", ())
    assert notes[0].why == "No devices"
    assert nvidia.nvidia(parts(), (), (), []) is None


def test_container_device_interface() -> None:
    lines = (
        '/etc/cdi/nvidia.yaml:kind: nvidia.com/gpu\n/etc/cdi/nvidia.yaml:- name: "0"\n'
        "/etc/cdi/nvidia.yaml:- name: all\n"
        '/var/run/cdi/x.json:  "kind": "example.com/class",\n'
        '/var/run/cdi/x.json:      "name": "a",\n'
    )
    found = nvidia.nvidia(answer(cdi=lines), (), (), [])
    assert found is not None
    assert found.cdi == ("nvidia.com/gpu=0", "nvidia.com/gpu=all", "example.com/class=a")
    assert found.cdi_files == ("/etc/cdi/nvidia.yaml", "/var/run/cdi/x.json")


def test_an_older_driver_refuses_the_first_question() -> None:
    base = "nvidia-smi --query-gpu=index,memory.total,power.draw --format=csv"
    refused = 'Field "compute_cap" is not a valid field to query.'
    asked = parts(
        Frame("nvidia-smi --query-gpu=index,compute_cap --format=csv", refused, 2),
        Frame(base, "0, 16384, [N/A]"),
        Frame("nvidia-smi -q -d COMPUTE", "Driver Version : 450.80.02\nCUDA Version    : 11.0\n"),
    )
    found = nvidia.nvidia(asked, (), (), [])
    assert found is not None
    assert (found.cuda_version, found.exit_code, found.error) == ("11.0", 0, None)
    assert (found.gpus[0].memory_total_mb, found.gpus[0].power_w) == (16384, None)
