"""The probe on the machine that runs the tests, against psutil and Python's own answers."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from paddock.deploy.host import Host, probe


@pytest.fixture(scope="module")
def facts() -> Host:
    return probe.read()


def test_nothing_failed(facts: Host) -> None:
    vendors = ("npu-smi", "nvidia-smi", "/etc/hccn.conf", "/usr/local/Ascend", "python /")
    assert not [note for note in facts.notes if not note.where.startswith(vendors)]
    assert Host.from_json(facts.to_json()) == facts


def test_system(facts: Host) -> None:
    release = platform.freedesktop_os_release()
    assert facts.system.id == release["ID"]
    assert facts.system.name == release["PRETTY_NAME"]
    assert facts.system.kernel == platform.release()
    assert facts.system.arch == platform.machine()
    assert facts.hostname == platform.node()
    if facts.system.libc == "glibc":
        assert platform.libc_ver() in (("glibc", facts.system.libc_version), ("", ""))
    assert facts.system.uptime_s == pytest.approx(time.time() - psutil.boot_time(), abs=60)


def test_processors(facts: Host) -> None:
    assert facts.cpu.threads == psutil.cpu_count()
    assert facts.cpu.usable == len(os.sched_getaffinity(0))
    assert facts.cpu.cores in (psutil.cpu_count(logical=False), None)
    if facts.system.arch == "x86_64":
        assert {"sse2", "fpu"} <= set(facts.cpu.flags)


def test_memory(facts: Host) -> None:
    assert facts.memory.total == psutil.virtual_memory().total
    assert facts.memory.swap_total == psutil.swap_memory().total
    assert facts.memory.available is not None
    assert 0 < facts.memory.available <= psutil.virtual_memory().total


def test_disk(facts: Host) -> None:
    found = {f.mount: f for f in facts.filesystems}
    assert found["/"].total == pytest.approx(psutil.disk_usage("/").total, rel=1e-3)
    assert found["/"].free == pytest.approx(psutil.disk_usage("/").free, rel=0.2)
    if Path("/dev/shm").is_dir():
        assert facts.shared_memory is not None
        assert facts.shared_memory.total == pytest.approx(
            shutil.disk_usage("/dev/shm").total, rel=1e-3
        )


def test_user(facts: Host) -> None:
    assert (facts.user.uid, facts.user.gid) == (os.getuid(), os.getgid())
    assert {group.id for group in facts.user.groups} == {os.getgid(), *os.getgroups()}
    assert facts.user.capabilities is not None


def test_clock(facts: Host) -> None:
    assert facts.clock.skew == pytest.approx(0, abs=1)
    assert facts.clock.uncertainty is not None
    assert facts.clock.utc_offset == time.strftime("%z")


def test_this_python_is_found_with_its_packages(facts: Host) -> None:
    prefixes = {os.path.realpath(python.prefix or ""): python for python in facts.pythons}
    base = prefixes.get(os.path.realpath(sys.base_prefix))
    if base is None:
        pytest.skip("this Python is not on the PATH nor in a usual place")
    assert base.version == platform.python_version() or base.version is not None
    assert sum(python.active for python in facts.pythons) <= 1


def test_packages_are_those_that_pip_would_list(facts: Host) -> None:
    """Against importlib.metadata, which reads the same folders with other code."""
    for python in facts.pythons:
        if not python.folders:
            continue
        found = importlib.metadata.distributions(path=list(python.folders))
        wanted = {
            re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d.version
            for d in found
            if d.metadata["Name"] and d.version
        }
        wrong = {
            name: (version, wanted.get(name))
            for name, version in python.packages.items()
            if wanted.get(name) not in (version, None)
        }
        assert not wrong, python.path
        missing = {n for n in wanted if n not in python.packages}
        assert len(missing) <= len(wanted) * 0.1, (python.path, missing)


def test_ports_in_use(facts: Host) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        found = [p for p in probe.read().ports if p.port == port]
    assert [p.address for p in found] == ["127.0.0.1"]


def test_interfaces(facts: Host) -> None:
    names = {interface.name for interface in facts.interfaces}
    assert names == set(psutil.net_if_addrs())
    addresses = {a.partition("/")[0] for i in facts.interfaces for a in i.addresses}
    if shutil.which("ip"):
        assert "127.0.0.1" in addresses


def test_limits(facts: Host) -> None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert facts.limits["nofile"] == (-1 if soft == resource.RLIM_INFINITY else soft)


def test_accelerators(facts: Host) -> None:
    """None here, or those that the kernel lists."""
    nodes = list(Path("/dev").glob("davinci[0-9]*"))
    assert (facts.ascend is not None) >= bool(nodes)
    assert (facts.nvidia is not None) >= Path("/dev/nvidiactl").exists()


def test_environment_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_HOME_PATH", "/usr/local/Ascend/cann")
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@pypi.example.org/simple")
    document, _ = probe.answer(probe.LocalRunner())
    assert b"secret" not in document
    found = probe.host(document, target="local")
    assert found.environment["ASCEND_HOME_PATH"] == "/usr/local/Ascend/cann"
    assert {(p.variable, p.value) for p in found.proxies if p.source == "environment"} >= {
        ("https_proxy", "http://***@proxy.example.org:3128"),
        ("no_proxy", "localhost"),
    }
    assert ("pip", "https://***@pypi.example.org/simple") in {
        (i.tool, i.url) for i in found.indexes
    }


def test_folders_to_look_into_are_words(tmp_path: Path) -> None:
    folder = tmp_path / "with space; $(echo x)"
    (folder / "checkpoint_download" / "llama2").mkdir(parents=True)
    (folder / "checkpoint_download" / "llama2" / "llama2_7b.ckpt").write_bytes(b"12345")
    found = probe.read(look=[str(folder)])
    assert [f.bytes for f in found.model_files if f.path.startswith(str(folder))] == [5]


def test_time_budget() -> None:
    """One second is the aim on a quiet machine; the margin is for busy ones."""
    began = time.monotonic()
    probe.read()
    assert time.monotonic() - began < 20
