"""The probe on a simulated host with eight 910B4: busybox, no Python, no /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

import simhost
from paddock.deploy.host import Host, probe, recording

HOSTS = Path(__file__).parents[2] / "hosts"
BUSES = ("c1", "c2", "81", "82", "01", "02", "41", "42")
SMI = """
case "$*" in
info | 'info -l' | 'info -m' | 'info -t topo') cat "/recorded/$(echo "$*" | tr ' ' '_')" ;;
'info -t board -i '*)
  printf '\\tNPU ID                         : %s\\n' "${5}"
  printf '\\tFirmware Version               : 7.7.0.1.231\\n'
  printf '\\tPCI Device ID : 0xD802\\n\\tChip Count : 1\\n' ;;
'info -t ecc -i 3')
  printf '\\tNPU ID : 3\\n\\tChip Count : 1\\n\\n\\tHBM Single Bit Error Count : 4\\n'
  printf '\\tHBM Double Bit Error Count : 1\\n\\tChip ID : 0\\n' ;;
'info -t ecc -i '*)
  printf '\\tNPU ID : %s\\n\\tChip Count : 1\\n\\n\\tHBM Single Bit Error Count : 0\\n' "$5"
  printf '\\tHBM Double Bit Error Count : 0\\n\\tChip ID : 0\\n' ;;
'info -t health -i '*)
  printf '\\tHealth Status                  : OK\\n\\tError Code                     : NA\\n'
  printf '\\tError Information              : NA\\n' ;;
*) echo "unknown question: $*" >&2; exit 1 ;;
esac
"""


def recorded(name: str) -> str:
    return recording.frames_of(HOSTS / name)[0].text


def versions() -> dict[str, str]:
    """The version files of a real host, at the paths of a real installation."""
    files = {f.path: f.text for f in recording.frames_of(HOSTS / "800ia2-versions")}
    return {
        path.replace("ascend-toolkit/latest", "ascend-toolkit/8.2.RC1").replace(
            "atb/latest", "atb/8.2.RC1"
        ): text
        for path, text in files.items()
    }


@pytest.fixture(scope="module")
def npu1(tmp_path_factory: pytest.TempPathFactory) -> simhost.SimulatedHost:
    ascend = "/usr/local/Ascend"
    files = {
        "/etc/os-release": 'ID="openEuler"\nVERSION_ID="22.03"\nPRETTY_NAME="openEuler 22.03"\n',
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nHwHiAiUser:x:1000:1000::/:/bin/sh\n",
        "/etc/group": "root:x:0:\nHwHiAiUser:x:1000:\n",
        "/etc/hccn.conf": recorded("hccn-conf-x8"),
        "/etc/ascend_install.info": recorded("910a-install-info"),
        "/etc/ld.so.conf.d/ascend.conf": f"{ascend}/driver/lib64/driver\n",
        "/etc/ssh/sshd_config": "#Port 22\nPort 223\nPermitRootLogin yes\nUsePAM yes\n",
        "/etc/pip.conf": "[global]\nindex-url = https://me:secret@pypi.example.org/simple?token=abc\n",
        "/root/.bashrc": f"source {ascend}/ascend-toolkit/set_env.sh\nexport HF_TOKEN=hf_secret\n",
        "/recorded/info": recorded("910b4-x8-fresh"),
        "/recorded/info_-l": recorded("910b4-x8-list"),
        "/recorded/info_-m": recorded("910b4-x8-mapping"),
        "/recorded/info_-t_topo": recorded("topo-hccs-x8"),
        f"{ascend}/ascend-toolkit/set_env.sh": "export ASCEND_HOME_PATH=...\n",
        f"{ascend}/driver/lib64/driver/libdrvdsmi_host.so": "",
        f"{ascend}/Ascend-Docker-Runtime/ascend-docker-runtime": "",
        f"{ascend}/ascend-toolkit/8.2.RC1/aarch64-linux/data/platform_config/Ascend910B4.ini": (
            "[version]\nSoC_version=Ascend910B4\n[SoCInfo]\nai_core_cnt=20\nvector_core_cnt=40\n"
            "memory_size=34359738368\n[AICoreSpec]\ncube_freq=1500\n[AICoreMemoryRates]\nddr_rate=32\n"
            "[VectorCoreMemoryRates]\nddr_rate=24\n"
        ),
        f"{ascend}/ascend-toolkit/8.2.RC1/opp/built-in/op_impl/ai_core/tbe/kernel/ascend910b/x": "",
        "/root/checkpoint_download/llama2/llama2_7b.ckpt.error": "x",
        "/root/checkpoint_download/llama2/llama2_7b.yaml": (
            "model:\n  model_config:\n    seq_length: 4096\n    use_past: False  # recompute\n"
            'context:\n  max_device_memory: "58GB"\n'
        ),
        "/root/hccl_2p.json": recorded("rank-table-legacy"),
        **versions(),
    }
    for address in BUSES:
        folder = f"/sys/bus/pci/devices/0000:{address}:00.0"
        ids = {"vendor": "0x19e5", "device": "0xd802", "class": "0x120000", "numa_node": "1"}
        files |= {f"{folder}/{name}": f"{value}\n" for name, value in ids.items()}
    # The same class of device, but a compression engine; and a network card.
    files |= {
        "/sys/bus/pci/devices/0000:75:00.0/vendor": "0x19e5\n",
        "/sys/bus/pci/devices/0000:75:00.0/device": "0xa250\n",
        "/sys/bus/pci/devices/0000:75:00.0/class": "0x120000\n",
        "/sys/bus/pci/devices/0000:7d:00.0/vendor": "0x19e5\n",
        "/sys/bus/pci/devices/0000:7d:00.0/device": "0xa222\n",
        "/sys/bus/pci/devices/0000:7d:00.0/class": "0x020000\n",
    }
    nodes = [f"davinci{i}" for i in range(8)] + ["davinci_manager", "devmm_svm", "hisi_hdc"]
    files |= {f"/dev/{name}": "" for name in nodes}
    links = {
        f"{ascend}/ascend-toolkit/latest": "8.2.RC1",
        f"{ascend}/nnal/atb/latest": "8.2.RC1",
        "/sys/bus/pci/devices/0000:c1:00.0/driver": "../../drivers/devdrv_device_driver",
    }
    (root := tmp_path_factory.mktemp("npu1") / "root").mkdir()
    (root / "sys/bus/pci/drivers/devdrv_device_driver").mkdir(parents=True)
    host = simhost.build(
        root,
        files,
        {"/usr/local/bin/npu-smi": SMI},
        links,
        {
            "LD_LIBRARY_PATH": f"{ascend}/driver/lib64/driver",
            "HF_TOKEN": "hf_secret",
            "RANK_ID": "0",
        },
    )
    for name in nodes:
        (root / "dev" / name).chmod(0o660)
    return host


@pytest.fixture(scope="module")
def facts(npu1: simhost.SimulatedHost) -> Host:
    return probe.read(npu1)


def test_chips_with_everything_that_is_known_of_them(facts: Host) -> None:
    assert facts.ascend is not None
    npus = facts.ascend.npus
    assert [npu.name for npu in npus] == ["910B4"] * 8
    assert [npu.logic_id for npu in npus] == list(range(8))
    assert {npu.pci_device for npu in npus} == {"d802"}
    assert {npu.board.firmware_version for npu in npus if npu.board} == {"7.7.0.1.231"}
    assert [npu.ecc.hbm_double_bit for npu in npus if npu.ecc] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert {npu.health_detail.status for npu in npus if npu.health_detail} == {"OK"}
    assert facts.ascend.topology is not None
    assert facts.ascend.topology.links[0][1] == "HCCS"


def test_the_bus_comes_first(facts: Host) -> None:
    assert [d.address for d in facts.pci if d.device == "d802"] == sorted(
        f"0000:{bus}:00.0" for bus in BUSES
    )
    assert {d.device for d in facts.pci} == {"d802", "a250"}
    drivers = {d.address: d.driver for d in facts.pci}
    assert drivers["0000:c1:00.0"] == "devdrv_device_driver"
    assert drivers["0000:c2:00.0"] is None


def test_software_each_once_and_in_use(facts: Host) -> None:
    assert facts.ascend is not None
    found = {c.kind: c for c in facts.ascend.components}
    assert len(found) == len(facts.ascend.components)
    assert found.keys() == {"driver", "firmware", "toolkit", "kernels", "nnal", "mindie"}
    assert all(component.active for component in found.values())
    assert found["toolkit"].version == "8.2.RC1"
    assert found["toolkit"].number == "8.2.0.0.201"
    assert found["toolkit"].inner_version == "V100R001C22SPC001B231"
    assert found["kernels"].socs == ("ascend910b",)
    assert found["driver"].modified is not None
    assert facts.ascend.component("toolkit") is found["toolkit"]


def test_what_the_toolkit_believes_about_the_chip(facts: Host) -> None:
    assert facts.ascend is not None
    (soc,) = facts.ascend.platform
    assert (soc.soc, soc.ai_cores, soc.cube_mhz) == ("Ascend910B4", 20, 1500)
    assert (soc.memory_bytes, soc.ddr_rate) == (2**35, 32)


def test_nodes_network_and_scripts(facts: Host) -> None:
    assert facts.ascend is not None
    assert len(facts.ascend.nodes) == 11
    assert {node.mode for node in facts.ascend.nodes} == {"660"}
    assert [port.address for port in facts.ascend.hccn][:2] == ["192.168.10.21", "192.168.20.21"]
    assert facts.ascend.scripts == ("/usr/local/Ascend/ascend-toolkit/set_env.sh",)
    assert facts.ascend.docker_runtime == (
        "/usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime"
    )
    assert facts.ascend.install_info["UserName"] == "HwHiAiUser"
    (table,) = facts.ascend.rank_tables
    assert (table.path, len(table.ranks)) == ("/root/hccl_2p.json", 2)


def test_libraries_and_startup_files(facts: Host) -> None:
    (library,) = [lib for lib in facts.libraries if lib.name == "libdrvdsmi_host.so"]
    path = "/usr/local/Ascend/driver/lib64/driver/libdrvdsmi_host.so"
    assert library.loads_from == path
    assert library.paths == (path,)
    missing = facts.library("libdcmi.so")
    assert missing is not None
    assert (missing.paths, missing.loads_from) == ((), None)
    assert [line.text for line in facts.sshd] == ["Port 223", "PermitRootLogin yes"]
    assert ("/root/.bashrc", "source /usr/local/Ascend/ascend-toolkit/set_env.sh") in {
        (line.path, line.text) for line in facts.startup
    }


def test_models_that_a_program_would_load(facts: Host) -> None:
    assert [f.path for f in facts.model_files] == [
        "/root/checkpoint_download/llama2/llama2_7b.ckpt.error",
        "/root/checkpoint_download/llama2/llama2_7b.yaml",
    ]
    (config,) = facts.model_configs
    assert config.values == {"seq_length": "4096", "use_past": "False", "max_device_memory": "58GB"}


def test_no_secret_leaves_the_host(npu1: simhost.SimulatedHost, facts: Host) -> None:
    document, _ = probe.answer(npu1)
    assert b"secret" not in document
    assert b"token=abc" not in document
    assert [i.url for i in facts.indexes] == ["https://***@pypi.example.org/simple?token=***"]
    assert facts.environment["RANK_ID"] == "0"


def test_what_busybox_cannot_tell_is_a_note(facts: Host) -> None:
    assert facts.system.id == "openEuler"
    assert facts.pythons == ()
    missing = {note.what for note in facts.notes}
    assert {"memory", "C library", "uptime"} <= missing
    assert Host.from_json(facts.to_json()) == facts


def test_nothing_is_changed(npu1: simhost.SimulatedHost) -> None:
    def state() -> dict[str, tuple[float, int, str]]:
        return {
            str(path): (
                path.lstat().st_mtime,
                path.lstat().st_mode,
                path.read_text(errors="replace"),
            )
            for path in sorted(npu1.root.rglob("*"))
            # In this root it is a plain file that errors go to.
            if path.is_file() and not path.is_symlink() and path.name != "null"
        } | {str(p): (p.lstat().st_mtime, 0, "") for p in npu1.root.rglob("*") if p.is_dir()}

    before = state()
    probe.read(npu1, thorough=True)
    assert state() == before


def test_a_card_that_another_container_holds(npu1: simhost.SimulatedHost, tmp_path: Path) -> None:
    script = (
        'echo "dcmi model initialized failed, because the device is used. ret is -8020"; exit 8\n'
    )
    (root := tmp_path / "root").mkdir()
    host = simhost.build(
        root,
        {"/proc/uda/namespace_node": "ns_id 3\n    root_tgid 2679173\n"},
        {"/usr/local/bin/npu-smi": script},
    )
    ascend = probe.read(host).ascend
    assert ascend is not None
    assert ascend.npu_smi is not None
    assert (ascend.npu_smi.code, ascend.npu_smi.exit_code) == (-8020, 8)
    assert "2679173" in (ascend.namespace or "")
    # Asking the driver for its namespaces makes it drop dead ones: not done without need.
    (npu1.root / "proc" / "uda").mkdir(exist_ok=True)
    (npu1.root / "proc" / "uda" / "namespace_node").write_text("not to be read\n")
    assert b"not to be read" not in probe.answer(npu1)[0]


def test_a_driver_that_hangs_is_left_alone(tmp_path: Path) -> None:
    (root := tmp_path / "root").mkdir()
    host = simhost.build(root, {}, {"/usr/local/bin/npu-smi": "exit 124\n"})
    ascend = probe.read(host).ascend
    assert ascend is not None
    assert ascend.npu_smi is not None
    assert ascend.npu_smi.error == "it did not answer in time"
